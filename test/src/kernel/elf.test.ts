/** What the probe takes for a program of this machine is what the kernel runs itself: whatever its head, nothing else. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { damagedHead } from '@bintrail/probe/elf-head.fixture.ts';
import { isNativeHead, readOwnHead } from '@bintrail/probe/elf-head.ts';
import { seededRandom } from '@bintrail/schemas/mutation.fixture.ts';
import { run, whyNotHere } from './probe-kit.ts';

const folder = mkdtempSync(join(tmpdir(), 'bintrail-elf-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const HEADS = 300;
/** What Node and shells do instead: they hand to /bin/sh what the kernel refuses. */
const JUDGE =
  '#include <errno.h>\n#include <unistd.h>\nextern char **environ;\nint main(int c, char **v) { (void)c; execve(v[1], v + 1, environ); return errno == ENOEXEC ? 126 : 125; }\n';

test('the kernel runs itself what is told to be native, and nothing else', {
  skip: whyNotHere() ?? false,
}, async () => {
  writeFileSync(join(folder, 'judge.c'), JUDGE);
  await run('cc', ['-o', join(folder, 'judge'), join(folder, 'judge.c')]);
  const [own, path] = [readOwnHead(), join(folder, 'program')];
  copyFileSync('/bin/true', path);
  chmodSync(path, 0o755);
  const program = readFileSync(path);
  const outcomes = new Set<boolean>();
  for (let number = 0; number < HEADS; number++) {
    const head = damagedHead(own, seededRandom(Math.imul(1 + number, 0x9e37_79b1)));
    if (head.length < own.length) continue;
    head.copy(program, 0, 0, own.length);
    writeFileSync(path, program);
    const { status } = spawnSync(join(folder, 'judge'), [path]);
    assert.notEqual(status, 125);
    const isNative = isNativeHead(program.subarray(0, own.length), own);
    assert.equal(status !== 126, isNative, head.toString('hex'));
    outcomes.add(isNative);
  }
  assert.equal(outcomes.size, 2);
});
