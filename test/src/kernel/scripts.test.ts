/** Which file was the script, case by case, on the running kernel: also where nobody executed it. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { isBefore, run, type SeenRow, type Watched, watchKernel, whyNotHere } from './probe-kit.ts';
import { CASES, type Case } from './script-cases.ts';

const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-scripts-'));
const at = (name: string) => join(folder, name);
const inMemory = at('memory');
let watched: Watched;

/** Past the tick in which files were written: what is weak only for that reason is not the question here. */
const settled = () => delay(50);

before(async () => {
  if (skip) return;
  mkdirSync(inMemory);
  await run('mount', ['-t', 'tmpfs', 'bintrail-scripts', inMemory]);
  watched = await watchKernel();
  // Each once, so that all of them are known from here on: the first run of one is a case of its own.
  for (const [program, ...args] of [
    ['/bin/bash', '-c', 'true'],
    ['/bin/busybox', 'true'],
  ] as const) {
    if (existsSync(program)) await run(program, args);
  }
  await delay(500);
});

after(async () => {
  await (watched as Watched | undefined)?.stop();
  if (!skip) await run('umount', ['-l', inMemory]);
  rmSync(folder, { recursive: true });
});

/** A script of other bytes than all others. */
function write(path: string, text: string, mode = 0o644): string {
  const bytes = `${text}\n# ${path}\n`;
  writeFileSync(path, bytes);
  chmodSync(path, mode);
  return createHash('sha256').update(bytes).digest('hex');
}

const isScript = (row: SeenRow) => row.event === 'load' && row.role === 'script';
const scriptAt = (path: string, matches: (row: SeenRow) => boolean = () => true) =>
  watched.row('load', (row) => isScript(row) && row.path === path && matches(row));

function missing(...programs: string[]): string | false {
  const absent = programs.find((program) => !existsSync(program));
  return absent !== undefined && `needs ${absent}`;
}

const isUnread = (where: string) => where === inMemory || isBefore(6, 12);

function start({ argv, stdin, inFolder }: Case, path: string): ChildProcess {
  const cwd = inFolder && dirname(path);
  const [program = '', ...args] = argv(path);
  const input = stdin ? openSync(path, 'r') : 'ignore';
  const child = spawn(program, args, { stdio: [input, 'ignore', 'inherit'], cwd, env: { PATH: '/usr/bin:/bin' } });
  if (typeof input === 'number') closeSync(input);
  return child;
}

// All at a time: each has a script and a process of its own, and mostly waits for rows. One by one those that read much
// before their script, which is looked for within a second.
for (const readsMuch of [false, true]) {
  describe(`which file was the script, ${readsMuch ? 'read late' : 'read at once'}`, {
    concurrency: readsMuch ? 1 : true,
  }, () => {
    for (const one of CASES.filter(({ unread }) => (unread !== undefined) === readsMuch)) {
      for (const where of [folder, inMemory]) {
        if (where === inMemory && one.inFolder) continue;
        const kind = where === inMemory ? 'tmpfs' : 'disk';
        const why = skip || missing(...one.argv('x').filter((word) => word.startsWith('/')));
        test(`${one.name}, on ${kind}`, { skip: why, timeout: 30_000 }, async () => {
          const path = join(where, one.script);
          const digest = write(path, one.text);
          await settled();
          const child = start(one, path);
          await once(child, 'exit');
          const row = await scriptAt(path, ({ pid }) => pid === child.pid);
          const evidence = isUnread(where) ? (one.unread ?? 'opened') : 'read';
          assert.equal(row.script_evidence, one.evidence ?? evidence);
          assert.equal(row.sha256, digest);
          assert.equal(row.digest_strength, kind === 'disk' ? 'exact' : 'racy');
          assert.match(row.parent_path, one.parent ?? /^\/(usr\/)?bin\/(bash|dash|python3\.\d+|perl|busybox)$/);
          const exec = await watched.row(
            'exec',
            ({ pid, self_exec_id }) => pid === row.pid && self_exec_id === row.self_exec_id,
          );
          assert.deepEqual([row.start_ns, row.uid, row.workload], [exec.start_ns, exec.uid, exec.workload]);
          const all = watched.rows().filter((each) => isScript(each) && each.pid === child.pid);
          assert.deepEqual(
            all.map(({ path: found }) => found),
            [path],
            'one script and nothing else',
          );
        });
      }
    }
  });
}

/** Runs a program to its end; returns its process id. */
async function runToEnd(program: string, args: readonly string[], input?: string): Promise<number> {
  const stdin = input === undefined ? undefined : openSync(input, 'r');
  const env = { PATH: '/usr/bin:/bin' };
  const child = spawn(program, args, { stdio: [stdin ?? 'ignore', 'ignore', 'inherit'], env });
  if (stdin !== undefined) closeSync(stdin);
  await once(child, 'exit');
  return child.pid!;
}

const scriptsOf = (pid: number) => watched.rows().filter((row) => isScript(row) && row.pid === pid);

test('a copy under another name is known by its digest: by its arguments at first, then as any other', {
  skip,
  timeout: 30_000,
}, async () => {
  const [copy, first, second] = [at('innocent'), at('copied-1.sh'), at('copied-2.sh')];
  copyFileSync('/bin/bash', copy);
  const digests = [write(first, 'true'), write(second, 'true')];
  await settled();
  await runToEnd(copy, [first]);
  const early = await scriptAt(first);
  await runToEnd(copy, [second]);
  const late = await scriptAt(second);
  assert.deepEqual([early.script_evidence, early.sha256, early.parent_path], ['named', digests[0], copy]);
  assert.deepEqual(
    [late.script_evidence, late.sha256, late.parent_path],
    [isUnread(folder) ? 'opened' : 'read', digests[1], copy],
  );
});

for (const [original, end] of [
  ['/bin/bash', '.sh'],
  ['/bin/busybox', '.sh'],
  ['/usr/bin/python3', '.py'],
  ['/usr/bin/perl', '.pl'],
] as const) {
  test(`an interpreter of no package is known by its own bytes: ${original}`, {
    skip: skip || missing(original),
    timeout: 30_000,
  }, async () => {
    // Busybox asks its own name which of its programs it is: this one may go on.
    const own = at(`${basename(original)}-own`);
    copyFileSync(original, own);
    appendFileSync(own, 'other bytes than any package has');
    const scripts = [1, 2].map((n) => at(`${basename(original)}-${n}${end}`));
    const digests = scripts.map((path) => write(path, end === '.sh' ? ':' : '1;'));
    const later = end === '.sh' ? 'opened' : 'named';
    await settled();
    for (const [n, path] of scripts.entries()) {
      const pid = await runToEnd(own, original === '/bin/busybox' ? ['sh', path] : [path]);
      const row = await scriptAt(path, (each) => each.pid === pid);
      assert.deepEqual([row.sha256, row.parent_path], [digests[n], own]);
      assert.equal(row.script_evidence, n === 0 ? 'named' : isUnread(folder) ? later : 'read');
    }
  });
}

test('a link to a script is followed, as far as its arguments tell', { skip, timeout: 30_000 }, async () => {
  const [target, link] = [at('target.sh'), at('link')];
  const digest = write(target, 'true');
  symlinkSync(target, link);
  await settled();
  await runToEnd('/bin/sh', [link]);
  const row = await scriptAt(target);
  assert.deepEqual([row.script_evidence, row.sha256], ['named', digest]);
});

test('env in a shebang: the script as the kernel ran it, and as python read it', {
  skip: skip || missing('/usr/bin/python3'),
  timeout: 30_000,
}, async () => {
  const path = at('env.py');
  const digest = write(path, '#!/usr/bin/env python3\n1', 0o755);
  await settled();
  const pid = await runToEnd(path, []);
  const ofPython = await scriptAt(path, ({ script_evidence }) => script_evidence !== 'executed');
  const ofEnv = await scriptAt(path, ({ script_evidence }) => script_evidence === 'executed');
  for (const row of [ofEnv, ofPython]) assert.deepEqual([row.sha256, row.pid], [digest, pid]);
  assert.equal(ofPython.script_evidence, isUnread(folder) ? 'named' : 'read');
  assert.match(ofEnv.parent_path, /\/env$/);
  assert.match(ofPython.parent_path, /\/python3\.\d+$/);
  assert.notEqual(ofEnv.self_exec_id, ofPython.self_exec_id);
});

test('a script that is changed in place gives each run the digest of its own', { skip, timeout: 30_000 }, async () => {
  const path = at('changed.sh');
  const digests: string[] = [];
  const pids: number[] = [];
  for (const text of ['true', 'true true']) {
    digests.push(write(path, text));
    await settled();
    pids.push(await runToEnd('/bin/bash', [path]));
    await scriptAt(path, ({ pid }) => pid === pids.at(-1));
  }
  const rows = await Promise.all(pids.map((pid) => scriptAt(path, (row) => row.pid === pid)));
  assert.deepEqual(
    rows.map(({ sha256, digest_strength }) => [sha256, digest_strength]),
    digests.map((digest) => [digest, 'exact']),
  );
});

test('a script that deletes itself has its digest, or the reason for having none', {
  skip,
  timeout: 30_000,
}, async () => {
  const path = at('gone.sh');
  const digest = write(path, 'rm -- "$0"');
  await settled();
  const pid = await runToEnd('/bin/sh', [path]);
  const gone = await scriptAt(path, (each) => each.pid === pid);
  assert.equal(gone.script_evidence, isUnread(folder) ? 'opened' : 'read');
  assert.notEqual(gone.ino, 0n);
  if (gone.sha256 === '') assert.equal(gone.digest_reason, 'vanished');
  else assert.equal(gone.sha256, digest);
});

test('what is no script makes no row', {
  skip: skip || missing('/usr/bin/python3', '/usr/bin/perl'),
  timeout: 30_000,
}, async () => {
  const [data, tool, last] = [at('data.sh'), at('tool.py'), at('last.sh')];
  for (const path of [data, tool, last]) write(path, '1');
  await settled();
  const without = [
    await runToEnd('/bin/sh', ['-c', 'read x'], data),
    await runToEnd('/bin/bash', ['-ec', `read x < ${data}`, data]),
    await runToEnd('/usr/bin/python3', ['-c', `open(${JSON.stringify(data)}).read()`, data]),
    await runToEnd('/usr/bin/perl', ['-ne', '1', data]),
    await runToEnd('/bin/cat', [data]),
  ];
  const withData = await runToEnd('/usr/bin/python3', [tool, data], data);
  await runToEnd('/bin/sh', [last]);
  // What comes after them has come, and a file that is only named would have.
  await scriptAt(last);
  await delay(1_500);
  for (const pid of without) assert.deepEqual(scriptsOf(pid), []);
  assert.deepEqual(
    scriptsOf(withData).map(({ path }) => path),
    [tool],
  );
});
