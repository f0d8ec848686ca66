/** What the kernel says of an exec, case by case, on the running kernel. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { compile } from './compile.ts';
import { run, type Watched, watchKernel, whyNotHere } from './probe-kit.ts';

const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-kernel-'));
const at = (name: string) => join(folder, name);
let watched: Watched;

const SOURCES: Record<string, string> = {
  quiet: 'int main(void) { return 3; }\n',
  gone: '#include <unistd.h>\nint main(int c, char **v) { (void)c; return unlink(v[0]); }\n',
  memfd: `#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int c, char **v) {
  char buf[4096]; long n; int in = open(v[1], O_RDONLY), fd = memfd_create("payload", MFD_CLOEXEC);
  (void)c;
  while ((n = read(in, buf, sizeof buf)) > 0) if (write(fd, buf, n) != n) return 1;
  char *args[] = { "payload", "60", 0 };
  return fexecve(fd, args, (char *[]){ 0 });
}
`,
  thread: `#include <pthread.h>
#include <unistd.h>
static char **args;
static void *other(void *x) { execv(args[1], args + 1); return x; }
int main(int c, char **v) { pthread_t t; (void)c; args = v; pthread_create(&t, 0, other, 0); pause(); return 0; }
`,
};

before(async () => {
  if (skip) return;
  for (const [name, source] of Object.entries(SOURCES)) await compile(at(name), source, ['-O1', '-pthread']);
  // Past the tick in which they were written: what is weak only for that reason is its own case below.
  await delay(50);
  watched = await watchKernel();
});

after(async () => {
  await (watched as Watched | undefined)?.stop();
  rmSync(folder, { recursive: true });
});

const digestOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
/** Runs for as long as the test wants: what must be read meanwhile may take a while on a busy machine. */
function start(program: string, args: readonly string[], t: TestContext): void {
  const child = spawn(program, args, { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
}

const execOf = (path: string) => watched.row('exec', (row) => row.path === path && !row.flagNames.includes('snapshot'));

test('an exec carries its digest, arguments, parent and exit', { skip, timeout: 30_000 }, async () => {
  await run(at('quiet'), ['one', 'two words', '']).catch(() => {});
  const row = await execOf(at('quiet'));
  assert.equal(row.sha256, digestOf(at('quiet')));
  // On a busy machine the descriptor may be read before the exec is complete.
  assert.ok(['held', 'cache'].includes(row.digest_source), row.digest_source);
  assert.equal(row.digest_strength, 'exact');
  assert.equal(row.argv, `${at('quiet')}\0one\0two words\0\0`);
  assert.equal(row.argc, 4);
  assert.equal(row.ppid, process.pid);
  assert.equal(row.parent_pid, process.pid);
  assert.equal(row.parent_path, readlinkSync('/proc/self/exe'));
  const exit = await watched.row('exit', ({ pid, start_ns }) => pid === row.pid && start_ns === row.start_ns);
  assert.equal(exit.exit_code, 3);
  assert.equal(exit.self_exec_id, row.self_exec_id);
});

test('a second exec of the same file is answered from the cache', { skip, timeout: 30_000 }, async () => {
  await run(at('quiet'), ['again']).catch(() => {});
  const row = await watched.row('exec', ({ argv }) => argv.includes('again'));
  assert.equal(row.digest_source, 'cache');
  assert.equal(row.digest_strength, 'exact');
  assert.equal(row.sha256, digestOf(at('quiet')));
});

test('a script shows itself beside its interpreter', { skip, timeout: 30_000 }, async () => {
  writeFileSync(at('x.sh'), '#!/bin/sh\nexit 0\n');
  chmodSync(at('x.sh'), 0o755);
  await delay(50);
  await run(at('x.sh'), []);
  const script = await watched.row('load', ({ path }) => path === at('x.sh'));
  assert.equal(script.role, 'script');
  assert.equal(script.sha256, digestOf(at('x.sh')));
  assert.equal(script.digest_strength, 'exact');
  const interpreter = await watched.row(
    'exec',
    ({ pid, start_ns }) => pid === script.pid && start_ns === script.start_ns,
  );
  assert.ok(interpreter.flagNames.includes('script'));
  assert.equal(interpreter.filename, at('x.sh'));
  assert.equal(interpreter.path, script.parent_path);
});

test('a program that deletes itself at once still has its digest', { skip, timeout: 30_000 }, async () => {
  const expected = digestOf(at('gone'));
  await run(at('gone'), []);
  const row = await execOf(at('gone'));
  assert.equal(row.sha256, expected);
  assert.ok(['exact', 'metadata', 'alive'].includes(row.digest_strength), row.digest_strength);
});

test('a program without a file is marked, and hashed while it runs', { skip, timeout: 30_000 }, async (t) => {
  start(at('memfd'), ['/bin/sleep'], t);
  const row = await watched.row('exec', ({ path }) => path === 'memfd:payload');
  assert.ok(row.flagNames.includes('memfd'));
  assert.equal(row.sha256, digestOf('/bin/sleep'));
  assert.equal(row.digest_source, 'exe');
  assert.ok(['exact', 'alive'].includes(row.digest_strength), row.digest_strength);
  assert.equal(row.package, '');
});

test('a setuid program is marked', { skip, timeout: 30_000 }, async () => {
  copyFileSync(at('quiet'), at('setuid'));
  chmodSync(at('setuid'), 0o4755);
  await run(at('setuid'), []).catch(() => {});
  assert.ok((await execOf(at('setuid'))).flagNames.includes('setuid'));
});

test('a packaged program is explained where its package put it, and a copy of it is not', {
  skip,
  timeout: 30_000,
}, async () => {
  copyFileSync('/usr/bin/true', at('truly'));
  chmodSync(at('truly'), 0o755);
  await delay(50);
  await run('/bin/true', []);
  await run(at('truly'), []);
  const packaged = await execOf('/usr/bin/true');
  assert.match(packaged.package, /^dpkg:coreutils:/);
  assert.equal(packaged.package_match, 'match');
  const copy = await execOf(at('truly'));
  assert.equal(copy.sha256, packaged.sha256);
  assert.equal(copy.package, '');
});

test('exec after exec of one process are two images with one parent', { skip, timeout: 30_000 }, async () => {
  await run('/bin/sh', ['-c', `exec ${at('quiet')} replaced`]).catch(() => {});
  const second = await watched.row('exec', ({ argv }) => argv === `${at('quiet')}\0replaced\0`);
  const first = await watched.row(
    'exec',
    ({ pid, start_ns, argv }) => pid === second.pid && start_ns === second.start_ns && argv.startsWith('/bin/sh\0-c\0'),
  );
  assert.equal(second.self_exec_id, first.self_exec_id + 1);
  assert.equal(second.parent_pid, first.parent_pid);
});

test('behind a subshell the parent is the image it runs, and the ppid its own', { skip, timeout: 30_000 }, async () => {
  await run('/bin/sh', ['-c', `(${at('quiet')} nested; true); true`]);
  const child = await watched.row('exec', ({ argv }) => argv.startsWith(`${at('quiet')}\0nested`));
  const shell = await watched.row('exec', ({ argv }) => argv.includes('nested; true)'));
  assert.equal(child.parent_pid, shell.pid);
  assert.equal(child.parent_start_ns, shell.start_ns);
  assert.notEqual(child.ppid, shell.pid);
});

test('an exec from a thread is the process, and one exit follows', { skip, timeout: 30_000 }, async () => {
  await run(at('thread'), [at('quiet'), 'from-thread']).catch(() => {});
  const row = await watched.row('exec', ({ argv }) => argv === `${at('quiet')}\0from-thread\0`);
  const before = await execOf(at('thread'));
  assert.equal(row.pid, before.pid);
  assert.equal(row.start_ns, before.start_ns);
  await watched.row('exit', ({ pid, start_ns }) => pid === row.pid && start_ns === row.start_ns);
  const exits = watched
    .rows()
    .filter(({ event, pid, start_ns }) => event === 'exit' && pid === row.pid && start_ns === row.start_ns);
  assert.equal(exits.length, 1);
});

test('names that are no UTF-8, long paths and many arguments survive', { skip, timeout: 30_000 }, async () => {
  const odd = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0x0a, 0xfe])]);
  copyFileSync(at('quiet'), odd);
  chmodSync(odd, 0o755);
  await run('/bin/sh', ['-c', 'exec "$0"?', `${folder}/`]).catch(() => {});
  let deep = folder;
  for (let level = 0; level < 12; level++) {
    deep = join(deep, 'd'.repeat(200));
    mkdirSync(deep);
  }
  copyFileSync(at('quiet'), join(deep, 'quiet'));
  await run(
    join(deep, 'quiet'),
    Array.from({ length: 50_000 }, (_, index) => String(index)),
  ).catch(() => {});
  const long = await execOf(join(deep, 'quiet'));
  assert.equal(long.argc, 50_001);
  assert.ok(long.flagNames.includes('truncated_argv'));
  assert.ok(long.argv_bytes > long.argv.length);
  renameSync(odd, at('odd'));
});

test('run within the tick it was written, a digest is weak unless the process still runs', {
  skip,
  timeout: 30_000,
}, async (t) => {
  const script = `cp ${at('quiet')} ${at('fresh')}; ${at('fresh')}; cp /bin/sleep ${at('naps')}; exec ${at('naps')} 60`;
  start('/bin/sh', ['-c', script], t);
  const fresh = await execOf(at('fresh'));
  assert.equal(fresh.sha256, digestOf(at('fresh')));
  assert.ok(['racy', 'exact', 'alive'].includes(fresh.digest_strength), fresh.digest_strength);
  const naps = await execOf(at('naps'));
  assert.ok(['exact', 'alive'].includes(naps.digest_strength), naps.digest_strength);
});

test('secrets among the arguments are gone before they leave the probe', { skip, timeout: 30_000 }, async () => {
  await run(at('quiet'), ['--password', 'hunter2', 'redact-me']).catch(() => {});
  const row = await watched.row('exec', ({ argv }) => argv.includes('redact-me'));
  assert.ok(row.flagNames.includes('redacted_argv'));
  assert.ok(!row.argv.includes('hunter2'));
});

test('processes from before are there, marked, with their arguments', { skip, timeout: 30_000 }, async () => {
  const self = await watched.row('exec', ({ pid, flagNames }) => pid === process.pid && flagNames.includes('snapshot'));
  assert.equal(self.digest_reason, 'snapshot');
  assert.ok(self.argv.includes('exec.test.ts') || self.argv.includes('--test'), self.argv);
});

test('a file over the size cap says so', { skip, timeout: 60_000 }, async () => {
  const small = await watchKernel({ maxFileBytes: 1_000 });
  try {
    const child = spawn(at('quiet'), ['too-large']);
    await once(child, 'exit');
    const row = await small.row('exec', ({ argv }) => argv.includes('too-large'));
    assert.equal(row.digest_reason, 'too_large');
    assert.equal(row.sha256, '');
  } finally {
    await small.stop();
  }
});

test('nothing was lost: each CPU numbered its events without a gap', { skip, timeout: 30_000 }, async () => {
  // With all it holds, as events may wait for their digests and are then out of order.
  await watched.stop();
  const live = watched
    .rows()
    .filter(({ event, flagNames }) => (event === 'exec' || event === 'exit') && !flagNames.includes('snapshot'));
  for (const [cpu, rows] of Map.groupBy(live, (row) => row.cpu)) {
    const numbers = rows.map(({ cpu_seq }) => Number(cpu_seq)).sort((a, b) => a - b);
    assert.deepEqual(
      numbers,
      numbers.map((_, index) => numbers[0]! + index),
      `CPU ${cpu}`,
    );
  }
});
