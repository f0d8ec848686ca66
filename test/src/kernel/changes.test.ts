/** What the kernel says of changes to files: every way to make one, on every filesystem that is here. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { ChangeWay } from '@bintrail/probe/change-hooks.ts';
import { type FileAction, fileAction } from '@bintrail/schemas/file-actions.ts';
import { compile } from './compile.ts';
import { type Watched, watchKernel, whyNotHere } from './probe-kit.ts';

const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-changes-'));
const CHANGE = join(folder, 'change');
const PROGRAM = join(folder, 'program');
let watched: Watched;
const mounted: string[] = [];

/** What each way is told as; `writes`: whoever used it is the writer of the file from then on. */
type Way = { readonly way: string; readonly action: FileAction | undefined; readonly writes: boolean };

const WAYS: readonly Way[] = [
  ...[
    ...['write', 'pwrite', 'append', 'o_direct', 'copy_file_range', 'sendfile', 'splice', 'fallocate'],
    ...['io_uring', 'io_uring_worker', 'mmap'],
  ].map((way): Way => ({ way, action: 'written', writes: true })),
  { way: 'truncate', action: 'truncated', writes: true },
  { way: 'ftruncate', action: 'truncated', writes: true },
  { way: 'chmod', action: 'mode', writes: false },
  { way: 'rename', action: 'renamed', writes: false },
  { way: 'replace', action: 'replaced', writes: false },
  { way: 'link', action: 'linked', writes: false },
  { way: 'unlink', action: 'unlinked', writes: false },
  { way: 'chown', action: undefined, writes: false },
  { way: 'utimes', action: undefined, writes: false },
  { way: 'read', action: undefined, writes: false },
];
/**
 * What a kernel before 6.13 does not tell, by filesystem: no event of it; no writer of what was executed, or perhaps none;
 * `unnoticed`: the writer before stays.
 */
type Missed = Record<string, Partial<Record<'events' | 'writers' | 'unnoticed', readonly string[]>>>;

const MISSED: Record<ChangeWay, Missed> = {
  ctimes: {},
  trampolines: {},
  tracepoints: {
    // Its own names, modes and lengths pass no tracepoint, nor does writing within the tick in which a file was made.
    tmpfs: {
      events: ['truncate', 'ftruncate', 'chmod', 'rename', 'replace', 'link', 'unlink'],
      writers: ['ftruncate', 'chmod', 'link', 'chown', 'utimes', 'read'],
      unnoticed: ['ftruncate'],
    },
  },
};

/** Where kernels before 6.13 were not tried. */
const isUntried = (name: string) => watched.probe.changes !== 'ctimes' && ['xfs', 'btrfs'].includes(name);

/** What nothing is left to execute of, under the same name. */
const GONE = ['truncate', 'rename', 'replace', 'unlink'];

type Filesystem = { readonly name: string; readonly mount: (at: string) => void };

const loopOf = (name: string, make: string[]): Filesystem => ({
  name,
  mount: (at) => {
    execFileSync('truncate', ['-s', '320M', `${at}.img`]);
    execFileSync(make[0]!, [...make.slice(1), `${at}.img`], { stdio: 'ignore' });
    execFileSync('mount', ['-o', 'loop', `${at}.img`, at]);
    mounted.push(at);
  },
});

const FILESYSTEMS: readonly Filesystem[] = [
  { name: 'the filesystem of /tmp', mount: () => {} },
  {
    name: 'tmpfs',
    mount: (at) => {
      execFileSync('mount', ['-t', 'tmpfs', 'none', at]);
      mounted.push(at);
    },
  },
  {
    name: 'overlay',
    mount: (at) => {
      for (const part of ['lower', 'upper', 'work']) mkdirSync(`${at}.${part}`);
      const layers = `lowerdir=${at}.lower,upperdir=${at}.upper,workdir=${at}.work`;
      execFileSync('mount', ['-t', 'overlay', '-o', layers, 'none', at]);
      mounted.push(at);
    },
  },
  ...(existsSync('/usr/sbin/mkfs.xfs') ? [loopOf('xfs', ['mkfs.xfs', '-q'])] : []),
  ...(existsSync('/usr/sbin/mkfs.btrfs') ? [loopOf('btrfs', ['mkfs.btrfs', '-q'])] : []),
];

const ENOSYS_EXIT = 77;

before(async () => {
  if (skip) return;
  await compile(PROGRAM, 'int main(void) { return 0; }\n', ['-O1', '-static']);
  await compile(CHANGE, readFileSync(new URL('change.c', import.meta.url), 'utf8'), ['-O1', '-Wall', '-static']);
  watched = await watchKernel();
});

after(async () => {
  await (watched as Watched | undefined)?.stop();
  for (const at of mounted.reverse()) execFileSync('umount', ['-l', at]);
  rmSync(folder, { recursive: true });
});

/** Runs a program to its end and says which process it was; undefined where the kernel cannot do that. */
function runAs(program: string, args: readonly string[]): number | undefined {
  const { pid, status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status === ENOSYS_EXIT) return undefined;
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stderr}`);
  return pid;
}

const execOf = (path: string) => watched.row('exec', (row) => row.path === path);
const fileRows = (pid: number) => watched.rows().filter((row) => row.event === 'file' && row.pid === pid);

for (const [index, { name, mount }] of FILESYSTEMS.entries()) {
  describe(`on ${name}`, { skip }, () => {
    const at = join(folder, `fs${index}`);
    const pids = new Map<string, number | undefined>();
    before(async () => {
      if (isUntried(name)) return;
      mkdirSync(at);
      mount(at);
      for (const { way } of WAYS) copyFileSync(PROGRAM, join(at, way));
      await delay(20);
      for (const { way } of WAYS) pids.set(way, runAs(CHANGE, [way, join(at, way)]));
      await delay(20);
      for (const { way } of WAYS) if (!GONE.includes(way)) runAs(join(at, way), []);
      // File events leave the probe half a second after they happened, and on a busy machine later.
      const last = runAs(CHANGE, ['write', PROGRAM])!;
      await watched.row('file', (row) => row.pid === last);
      await delay(700);
    });

    for (const { way, action, writes } of WAYS) {
      const told = action === undefined ? 'is no change of code' : `is told as ${action}`;
      test(`${way} ${told}`, { timeout: 20_000 }, async (context) => {
        if (isUntried(name)) return context.skip('what older kernels miss there is not known');
        const pid = pids.get(way);
        if (pid === undefined) return context.skip('the kernel or this filesystem has no such thing');
        const { events = [], writers = [], unnoticed = [] } = MISSED[watched.probe.changes][name] ?? {};
        const own = fileRows(pid).filter(({ path }) => path.endsWith(`/${way}`));
        const expected = action === undefined || events.includes(way) ? [] : [action];
        assert.deepEqual([...new Set(own.map((row) => fileAction(row.action)))], expected);
        for (const row of own) assert.equal(row.writer_path, CHANGE);
        if (GONE.includes(way)) return;
        const exec = await execOf(join(at, way));
        // Whether a tick passed in between decides.
        if (writers.includes(way) && exec.writer_pid === 0) return;
        assert.equal(exec.writer_pid, writes && !unnoticed.includes(way) ? pid : process.pid);
        assert.equal(exec.writer_path, exec.writer_pid === pid ? CHANGE : process.execPath);
        assert.ok(exec.written_ns > 0n && exec.written_ns <= exec.ctime_ns);
        assert.ok(exec.flagNames.includes('dropped'));
      });
    }
  });
}

describe('what is missed, and said to be', { skip }, () => {
  test('a write to a page that is writable already moves no time: the writer before it stays', async () => {
    const [quiet, loud] = [join(folder, 'again'), join(folder, 'again-other')];
    copyFileSync(PROGRAM, quiet);
    copyFileSync(PROGRAM, loud);
    await delay(20);
    const child = spawn(CHANGE, ['mmap_again', quiet]);
    await once(child.stdout, 'data');
    await delay(20);
    const chmod = runAs(CHANGE, ['chmod', quiet]);
    const between = runAs(CHANGE, ['write', quiet]);
    await delay(20);
    child.stdin.end('go\n');
    assert.deepEqual(await once(child, 'exit'), [0, null]);
    runAs(quiet, []);
    const exec = await execOf(quiet);
    assert.equal(exec.writer_pid, between, 'not the mapping, which wrote last; nor who changed the mode');
    assert.notEqual(exec.writer_pid, chmod);
  });

  test('of two writers within one tick the first is named', async () => {
    const program = join(folder, 'tick');
    copyFileSync(PROGRAM, program);
    await delay(20);
    // A tick of the clock is met or not: the run in which the second writer had a tick of its own proves nothing.
    for (let tries = 0; tries < 20; tries++) {
      const first = runAs(CHANGE, ['write_twice_in_a_tick', program]);
      runAs(program, []);
      const [exec] = (await watched.rowsOf('exec', (row) => row.path === program, tries + 1)).slice(-1);
      if (exec!.writer_pid === first) return;
    }
    assert.fail('the second writer was always seen');
  });

  test('nothing is said of a file that was written before the probe', async () => {
    const env = await execOfAnyEnv();
    assert.deepEqual([env.writer_pid, env.writer_path, env.written_ns], [0, '', 0n]);
    assert.ok(!env.flagNames.includes('dropped'));
  });
});

async function execOfAnyEnv() {
  const pid = runAs('/usr/bin/env', ['true']);
  return await watched.row('exec', (row) => row.pid === pid);
}

describe('names and uses', { skip }, () => {
  test('a container names files by its own root', async () => {
    const at = join(folder, 'contained');
    for (const part of ['lower', 'upper', 'work', 'merged']) mkdirSync(join(at, part), { recursive: true });
    copyFileSync(PROGRAM, join(at, 'lower', 'tool'));
    await delay(20);
    const pid = runAs(CHANGE, ['contained', at, 'pwrite', '/tool'])!;
    const row = await watched.row('file', (file) => file.pid === pid && fileAction(file.action) === 'written');
    assert.equal(row.path, '/tool');
    assert.deepEqual(
      row.flagNames.filter((flag) => ['overlay', 'upper_layer'].includes(flag)),
      ['upper_layer', 'overlay'],
    );
  });

  test('a rename and a link say the new name', async () => {
    for (const way of ['rename', 'link']) {
      const file = join(folder, `named-${way}`);
      copyFileSync(PROGRAM, file);
      const pid = runAs(CHANGE, [way, file])!;
      const row = await watched.row('file', (each) => each.pid === pid && each.path === file);
      assert.equal(row.target, `${file}.other`);
    }
  });

  test('a program that runs is in use when it is replaced; one that does not is not', async () => {
    const [idle, busy] = [join(folder, 'idle'), join(folder, 'busy')];
    for (const file of [idle, busy]) copyFileSync('/usr/bin/sleep', file);
    const child = spawn(busy, ['20']);
    await once(child, 'spawn');
    await delay(50);
    const rows = [idle, busy].map(async (file) => {
      const pid = runAs(CHANGE, ['replace', file])!;
      return await watched.row('file', (row) => row.pid === pid && fileAction(row.action) === 'replaced');
    });
    const inUse = (await Promise.all(rows)).map(({ flagNames }) => flagNames.includes('in_use'));
    child.kill();
    assert.deepEqual(inUse, [false, true]);
  });

  test('a library without any x bit is code while it is mapped as such', async () => {
    const library = join(folder, 'libused.so');
    await compile(library, 'int used(void) { return 7; }\n', ['-shared', '-fPIC']);
    await compile(
      join(folder, 'user'),
      '#include <dlfcn.h>\n#include <stdio.h>\nint main(int c, char **v) { (void)c; if (!dlopen(v[1], RTLD_NOW)) return 1; puts("loaded"); fflush(stdout); return getchar() == 0; }\n',
    );
    chmodSync(library, 0o644);
    await delay(20);
    const before = runAs(CHANGE, ['write', library])!;
    const child = spawn(join(folder, 'user'), [library]);
    await once(child.stdout, 'data');
    await delay(20);
    const during = runAs(CHANGE, ['write', library])!;
    const row = await watched.row('file', (each) => each.pid === during);
    child.stdin.end();
    assert.deepEqual([row.path, fileAction(row.action)], [library, 'written']);
    assert.ok(row.flagNames.includes('in_use'));
    assert.deepEqual(fileRows(before), [], 'no x bit, and nobody maps it');
    const load = await watched.row('load', (each) => each.path === library);
    assert.deepEqual([load.role, load.writer_pid, load.writer_path], ['library', before, CHANGE]);
  });

  test('what is done again and again is told once, with how often', async () => {
    const file = join(folder, 'often');
    copyFileSync(PROGRAM, file);
    const pid = runAs('/bin/bash', ['-c', `for i in $(seq 40); do echo >> ${file}; sleep 0.01; done`])!;
    await watched.row('file', (row) => row.pid === pid);
    await delay(300);
    assert.equal(fileRows(pid).length, 1);
  });
});
