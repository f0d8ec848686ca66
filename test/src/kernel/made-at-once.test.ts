/** A program that is made, written and run within one clock tick, as a dropper does it: the kernel tells one time of all that. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { run, type Watched, watchKernel, whyNotHere } from './probe-kit.ts';

const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-at-once-'));
const PROGRAM = join(folder, 'program');
const TRIES = 20;
let watched: Watched;
let bytes: Buffer;
const mounted: string[] = [];

before(async () => {
  if (skip) return;
  writeFileSync(`${PROGRAM}.c`, 'int main(void) { return 0; }\n');
  await run('cc', ['-O1', '-o', PROGRAM, `${PROGRAM}.c`]);
  bytes = readFileSync(PROGRAM);
  watched = await watchKernel();
});

after(async () => {
  await (watched as Watched | undefined)?.stop();
  for (const at of mounted) execFileSync('umount', ['-l', at]);
  rmSync(folder, { recursive: true });
});

const FILESYSTEMS: Readonly<Record<string, (at: string) => string[]>> = {
  'the filesystem of /tmp': () => [],
  tmpfs: () => ['-t', 'tmpfs', 'none'],
  overlay: (at) => {
    for (const part of ['lower', 'upper', 'work']) mkdirSync(`${at}.${part}`);
    return ['-t', 'overlay', '-o', `lowerdir=${at}.lower,upperdir=${at}.upper,workdir=${at}.work`, 'none'];
  },
};

for (const [name, mountArgs] of Object.entries(FILESYSTEMS)) {
  test(`on ${name} whoever made it is who wrote it`, { skip, timeout: 60_000 }, async (context) => {
    if (watched.probe.changes !== 'ctimes') return context.skip('before Linux 6.13 it is a limit');
    const at = join(folder, name.replaceAll(/\W/g, '-'));
    mkdirSync(at);
    const args = mountArgs(at);
    if (args.length > 0) {
      execFileSync('mount', [...args, at]);
      mounted.push(at);
    }
    for (let n = 0; n < TRIES; n++) {
      const [atOnce, later] = [join(at, `at-once-${n}`), join(at, `later-${n}`)];
      writeFileSync(atOnce, bytes, { mode: 0o755 });
      assert.equal(spawnSync(atOnce).status, 0);
      writeFileSync(later, bytes, { mode: 0o644 });
      await delay(10);
      chmodSync(later, 0o755);
      assert.equal(spawnSync(later).status, 0);
    }
    const execs = await watched.rowsOf('exec', ({ path }) => path.startsWith(`${at}/`), 2 * TRIES);
    const writers = execs.map(({ path, writer_pid }) => `${path.slice(at.length + 1)} ${writer_pid}`);
    const expected = execs.map(({ path }) => `${path.slice(at.length + 1)} ${process.pid}`);
    assert.deepEqual(writers, expected);
    assert.ok(execs.every(({ flagNames }) => flagNames.includes('dropped')));
  });
}
