/** The rules of descriptors, one by one, on the running kernel: what fanotify hands over, and what must not be kept. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { run, type Watched, watchKernel, whyNotHere } from './probe-kit.ts';

const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-descriptors-'));
const at = (name: string) => join(folder, name);
const digestOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
const STRONG = ['exact', 'alive'];
let watched: Watched;

const SOURCES: Record<string, string> = {
  'noop.c': 'int main(void) { return 0; }\n',
  'again.c': `#include <unistd.h>
int main(int c, char **v) {
  (void)c;
  if (v[1][0] == '6') return 0;
  v[1][0]++;
  return execv(v[0], v);
}
`,
};

before(async () => {
  if (skip) return;
  for (const [name, source] of Object.entries(SOURCES)) {
    writeFileSync(at(name), source);
    await run('cc', ['-O1', '-o', at(name.slice(0, -2)), at(name)]);
  }
  watched = await watchKernel();
});

after(async () => {
  await (watched as Watched | undefined)?.stop();
  rmSync(folder, { recursive: true });
});

/** A program with bytes of its own, settled for longer than a tick. */
function program(name: string, trailer: string): string {
  copyFileSync(at('noop'), at(name));
  chmodSync(at(name), 0o755);
  appendFileSync(at(name), trailer);
  return at(name);
}

/** Until the probe has seen the change of mounts: a program that runs there is handed over. */
async function marked(mountPoint: string): Promise<void> {
  const path = join(mountPoint, 'tried');
  for (let tries = 0; ; tries++) {
    assert.ok(tries < 100, `${mountPoint} is never marked`);
    copyFileSync(at('noop'), path);
    await run(path, [`${tries}`]);
    if (['held', 'cache'].includes((await execOf(path, `${tries}`)).digest_source)) return;
    rmSync(path);
  }
}

const execOf = (path: string, word: string) =>
  watched.row('exec', ({ argv }) => argv === `${path}\0${word}\0` || argv.startsWith(`${path}\0${word}\0`));

test('six execs of one process to the same file merge into one event, and each has its digest', {
  skip,
  timeout: 30_000,
}, async () => {
  await run(at('again'), ['1']);
  for (const word of ['1', '2', '3', '4', '5', '6']) {
    assert.equal((await execOf(at('again'), word)).sha256, digestOf(at('again')), word);
  }
});

test('a failed exec leaves a descriptor that no other exec is given', { skip, timeout: 30_000 }, async () => {
  const broken = program('broken', '');
  // An ELF head and nothing behind it: opened for execution, and refused.
  truncateSync(broken, 64);
  await assert.rejects(run('/bin/sh', ['-c', `exec ${broken}`]));
  const whole = program('whole', 'whole');
  await run('/bin/sh', ['-c', `${broken} || exec ${whole} after`]);
  assert.equal((await execOf(whole, 'after')).sha256, digestOf(whole));
  assert.ok(!watched.rows().some(({ event, path }) => event === 'exec' && path === broken));
});

test('of programs that take the same inode in turn each has its own digest', { skip, timeout: 60_000 }, async () => {
  const inodes = new Set<number>();
  const digests: string[] = [];
  const rounds = 30;
  for (let round = 0; round < rounds; round++) {
    const path = program('reused', `${round}`.padEnd(8, '#'));
    digests.push(digestOf(path));
    inodes.add(statSync(path).ino);
    await run(path, [`round-${round}`]);
    unlinkSync(path);
  }
  assert.ok(inodes.size < rounds, 'no inode was used again: nothing is shown');
  for (const [round, digest] of digests.entries()) {
    const row = await execOf(at('reused'), `round-${round}`);
    if (STRONG.includes(row.digest_strength)) assert.equal(row.sha256, digest, `round ${round}`);
    assert.ok([digest, ''].includes(row.sha256), `round ${round}: another program's digest`);
  }
});

test('a known program is asked for again once it is written, also without a sign in its size or mtime', {
  skip,
  timeout: 30_000,
}, async () => {
  const path = program('known', 'first---');
  await delay(50);
  await run(path, ['first']);
  const first = await execOf(path, 'first');
  assert.equal(first.sha256, digestOf(path));
  // Its digest is cached by now: the kernel was asked to deliver this file no more.
  await run(path, ['cached']);
  assert.equal((await execOf(path, 'cached')).digest_source, 'cache');
  const { size, atime, mtime } = statSync(path);
  truncateSync(path, size - 8);
  appendFileSync(path, 'second--');
  utimesSync(path, atime, mtime);
  await delay(50);
  await run(path, ['second']);
  const second = await execOf(path, 'second');
  assert.notEqual(second.sha256, first.sha256);
  assert.equal(second.sha256, digestOf(path));
});

test('a known program that was renamed still has its digest, and is known again', {
  skip,
  timeout: 30_000,
}, async () => {
  const path = program('before-rename', 'renamed');
  await delay(50);
  await run(path, ['here']);
  await execOf(path, 'here');
  renameSync(path, at('after-rename'));
  await delay(50);
  await run(at('after-rename'), ['there']);
  const moved = await execOf(at('after-rename'), 'there');
  assert.equal(moved.sha256, digestOf(at('after-rename')));
  await run(at('after-rename'), ['again']);
  const again = await execOf(at('after-rename'), 'again');
  assert.equal(again.digest_strength, 'exact');
});

test('while the main thread does something else descriptors are taken, read and let go', {
  skip,
  timeout: 60_000,
}, async () => {
  const memory = at('memory');
  mkdirSync(memory);
  await run('mount', ['-t', 'tmpfs', 'busy', memory]);
  const base = digestOf(at('noop'));
  await marked(memory);
  const copies = Number(process.env.BINTRAIL_COPIES ?? 200);
  const script = `
    cd ${memory}
    for i in $(seq ${copies}); do cp ${at('noop')} $i; ./$i busy; rm $i; done
    cd /
    for tries in $(seq 1000); do umount ${memory} && exit 0; sleep 0.02; done
    exit 1`;
  // This very thread is the probe's main thread: it does nothing of the probe until all of that is over.
  execFileSync('sh', ['-c', script], { stdio: ['ignore', 'ignore', 'ignore'] });
  for (let copy = 1; copy <= copies; copy++) {
    const row = await watched.row(
      'exec',
      ({ path, argv }) => path === join(memory, String(copy)) && argv.includes('busy'),
    );
    assert.equal(row.sha256, base, `copy ${copy}: ${row.digest_reason}`);
  }
});
