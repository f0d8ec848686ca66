/** What the kernel says of files mapped for execution, case by case, on the running kernel. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isBefore, run, type SeenRow, type Watched, watchKernel, whyNotHere } from './probe-kit.ts';

const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-loads-'));
const at = (name: string) => join(folder, name);
const LOADER_SOURCE = fileURLToPath(new URL('./loader.c', import.meta.url));
const started: ChildProcess[] = [];
let watched: Watched;

before(async () => {
  if (skip) return;
  await run('cc', ['-O1', '-o', at('loader'), LOADER_SOURCE]);
  await run('sh', ['-c', `echo 'int one(void) { return 1; }' | cc -shared -fPIC -o ${at('lib.so')} -xc -`]);
  await settled();
  watched = await watchKernel();
});

after(async () => {
  for (const child of started) child.kill();
  await (watched as Watched | undefined)?.stop();
  rmSync(folder, { recursive: true });
});

/** Past the tick in which files were written: what is weak only for that reason is not the question here. */
const settled = () => delay(50);

/** A library of other bytes than all others; the loader ignores what stands behind its sections. */
function makeLibrary(name: string, path = at(name)): string {
  copyFileSync(at('lib.so'), path);
  appendFileSync(path, `#${name}`);
  return path;
}

const digestOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
const loadOf = (path: string, matches: (row: SeenRow) => boolean = () => true) =>
  watched.row('load', (row) => row.path === path && matches(row));
const outcome = ({ role, sha256, digest_strength }: SeenRow) => [role, sha256, digest_strength];

type Held = { readonly child: ChildProcess; readonly pid: number; readonly end: () => Promise<void> };

/** Runs the loader until it is told to end; resolves once it has done what it was asked to. */
async function hold(...args: string[]): Promise<Held> {
  const child = spawn(at('loader'), args, { stdio: ['pipe', 'pipe', 'inherit'] });
  started.push(child);
  await once(child.stdout!, 'data');
  const end = async () => {
    const gone = once(child, 'exit');
    child.stdin!.end();
    await gone;
  };
  return { child, pid: child.pid!, end };
}

test('a program brings its loader and its libraries, each with its package', { skip, timeout: 30_000 }, async () => {
  await run(at('loader'), ['load', '/dev/null']).catch(() => {});
  const exec = await watched.row('exec', (row) => row.path === at('loader'));
  const ofIt = (row: SeenRow) => row.pid === exec.pid && row.self_exec_id === exec.self_exec_id;
  const loader = await watched.row('load', (row) => ofIt(row) && row.role === 'loader');
  const libc = await watched.row('load', (row) => ofIt(row) && /\/libc[.-]/.test(row.path));
  for (const row of [loader, libc]) {
    assert.equal(row.sha256, digestOf(row.path));
    assert.equal(row.digest_strength, 'exact');
    assert.match(row.package, /^dpkg:libc6:/);
    assert.equal(row.package_match, 'match');
    assert.deepEqual([row.parent_path, row.start_ns, row.uid], [at('loader'), exec.start_ns, exec.uid]);
    assert.equal(row.workload, exec.workload);
  }
  const own = watched.rows().filter((row) => row.event === 'load' && row.path === at('loader'));
  assert.deepEqual(own, [], 'its own file is its exec, no load');
});

test('LD_PRELOAD brings a library into a program of a package', { skip, timeout: 30_000 }, async () => {
  const library = makeLibrary('preload.so');
  await settled();
  await run('/bin/true', [], { env: { LD_PRELOAD: library } });
  const row = await loadOf(library);
  assert.deepEqual(outcome(row), ['library', digestOf(library), 'exact']);
  assert.equal(row.parent_path, '/usr/bin/true');
  assert.equal(row.package, '');
});

test('dlopen is seen, and the library of a process that is gone is read by its path', {
  skip,
  timeout: 30_000,
}, async () => {
  const library = makeLibrary('opened.so');
  await settled();
  await run(at('loader'), ['load', library]);
  assert.deepEqual(outcome(await loadOf(library)), ['library', digestOf(library), 'exact']);
});

test('a library that is unlinked while a process runs is read from its mapping', {
  skip,
  timeout: 30_000,
}, async () => {
  const library = makeLibrary('unlinked.so');
  const digest = digestOf(library);
  await settled();
  const held = await hold('hold', library);
  rmSync(library);
  const row = await loadOf(library);
  await held.end();
  assert.equal(row.sha256, digest);
  assert.ok(['exact', 'metadata'].includes(row.digest_strength), row.digest_strength);
});

test('a library that is replaced gives each process the digest of its own', { skip, timeout: 30_000 }, async () => {
  const library = makeLibrary('replaced.so');
  const digests = [digestOf(library)];
  await settled();
  const first = await hold('hold', library);
  const newer = makeLibrary('newer', at('newer.so'));
  digests.push(digestOf(newer));
  renameSync(newer, library);
  await settled();
  const second = await hold('hold', library);
  const rows = [
    await loadOf(library, ({ pid }) => pid === first.pid),
    await loadOf(library, ({ pid }) => pid === second.pid),
  ];
  await Promise.all([first.end(), second.end()]);
  assert.deepEqual(
    rows.map(({ sha256 }) => sha256),
    digests,
  );
  assert.equal(rows[1]!.digest_strength, 'exact');
});

test('a library that is kept writable is never exact, and not cached', { skip, timeout: 30_000 }, async () => {
  const library = makeLibrary('writable.so');
  await settled();
  const writer = await hold('write', library);
  await settled();
  const reader = await hold('hold', library);
  const row = await loadOf(library, ({ pid }) => pid === reader.pid);
  assert.equal(row.digest_strength, 'writable');
  writer.child.stdin!.write('!');
  await writer.end();
  await reader.end();
  await settled();
  const later = await hold('hold', library);
  const again = await loadOf(library, ({ pid }) => pid === later.pid);
  await later.end();
  assert.deepEqual(outcome(again), ['library', digestOf(library), 'exact']);
  assert.notEqual(again.sha256, row.sha256);
});

test('code from a memfd has a digest while it is mapped', { skip, timeout: 30_000 }, async () => {
  const library = makeLibrary('in-memory.so');
  const held = await hold('memfd', library);
  const row = await watched.row('load', ({ pid, flagNames }) => pid === held.pid && flagNames.includes('memfd'));
  await held.end();
  assert.equal(row.role, 'library');
  assert.equal(row.sha256, digestOf(library));
  assert.equal(row.digest_source, 'map_files');
  assert.equal(row.digest_strength, 'racy');
});

test('a system call of 32 bits is no way around it', { skip, timeout: 30_000 }, async (context) => {
  const library = makeLibrary('by-int80.so');
  await settled();
  const [probe] = [spawn(at('loader'), ['int80', library], { stdio: ['pipe', 'pipe', 'inherit'] })];
  const answer = await Promise.race([once(probe.stdout!, 'data'), once(probe, 'exit').then(() => undefined)]);
  if (answer === undefined) return context.skip('this kernel takes no system calls of 32 bits');
  const row = await loadOf(library);
  probe.stdin!.end();
  assert.deepEqual(outcome(row), ['library', digestOf(library), 'exact']);
});

test("a container's overlay: the real file, and whether the container wrote it", {
  skip,
  timeout: 30_000,
}, async () => {
  for (const name of ['lower', 'upper', 'work', 'merged']) mkdirSync(at(name));
  const image = makeLibrary('image.so', at('lower/image.so'));
  copyFileSync(at('loader'), at('lower/program'));
  const options = `lowerdir=${at('lower')},upperdir=${at('upper')},workdir=${at('work')}`;
  await run('mount', ['-t', 'overlay', 'overlay', '-o', options, at('merged')]);
  try {
    const written = makeLibrary('written.so', at('merged/written.so'));
    await settled();
    await run(at('merged/program'), ['load', at('merged/image.so'), written]);
    const [fromImage, fromUpper] = [await loadOf(at('merged/image.so')), await loadOf(written)];
    assert.deepEqual(outcome(fromImage), ['library', digestOf(image), 'exact']);
    assert.deepEqual(outcome(fromUpper), ['library', digestOf(written), 'exact']);
    const layers = ({ flagNames }: SeenRow) => flagNames.filter((name) => name !== 'dropped');
    assert.deepEqual(layers(fromImage), ['overlay']);
    assert.deepEqual(layers(fromUpper), ['upper_layer', 'overlay']);
    assert.deepEqual(
      watched.rows().filter(({ event, path }) => event === 'load' && path.endsWith('/program')),
      [],
      'the program is no library of its own',
    );
  } finally {
    await run('umount', ['-l', at('merged')]);
  }
});

test('what mprotect makes executable is seen, from Linux 6.13 on', {
  skip: skip || (isBefore(6, 13) && 'needs Linux 6.13'),
  timeout: 30_000,
}, async () => {
  for (const mode of ['protect', 'protect-middle', 'protect-many']) {
    const library = makeLibrary(`${mode}.so`);
    await settled();
    const held = await hold(mode, library);
    const row = await loadOf(library);
    await held.end();
    assert.deepEqual(outcome(row), ['library', digestOf(library), 'exact']);
    assert.deepEqual([row.pid, row.parent_path], [held.pid, at('loader')]);
  }
});

test('what mprotect leaves without execution is no code', { skip, timeout: 30_000 }, async () => {
  const [library, after] = [makeLibrary('readable.so'), makeLibrary('executable.so')];
  await settled();
  await (await hold('protect-read', library)).end();
  await run(at('loader'), ['load', after]);
  await loadOf(after);
  assert.deepEqual(
    watched.rows().filter(({ path }) => path === library),
    [],
  );
});

test('code that was mapped before the probe is listed, each use once, and so again by the next probe', {
  skip,
  timeout: 60_000,
}, async () => {
  const [library, later] = [makeLibrary('there.so'), makeLibrary('later.so')];
  const held = [await hold('hold', library), await hold('hold', library)];
  const ofTest = ({ event, path }: SeenRow) => event === 'load' && [library, later].includes(path);
  const shown = ({ path, role, repeats, digest_reason, flagNames }: SeenRow) => ({
    path,
    role,
    repeats,
    digest_reason,
    flagNames,
  });
  const found: SeenRow[][] = [];
  for (const turn of [1, 2]) {
    const apart = await watchKernel();
    await run(at('loader'), ['load', later]);
    await apart.row('load', ({ path }) => path === later);
    await apart.stop();
    found.push(apart.rows().filter(ofTest));
    const own = apart.rows().filter(({ event, pid }) => event === 'load' && held.some((one) => one.pid === pid));
    assert.ok(
      own.some(({ role, path }) => role === 'loader' && /ld-linux|ld64/.test(path)),
      `turn ${turn}`,
    );
    assert.ok(
      own.every(({ path }) => path !== at('loader')),
      'the program is no code of its own',
    );
    assert.ok(own.every(({ flagNames }) => flagNames.includes('snapshot')));
  }
  await Promise.all(held.map(({ end }) => end()));
  const there = { path: library, role: 'library', repeats: 1, digest_reason: 'snapshot', flagNames: ['snapshot'] };
  const live = { path: later, role: 'library', repeats: 0, digest_reason: '', flagNames: [] };
  for (const rows of found) assert.deepEqual(rows.map(shown), [there, live]);
  const [first, again] = found.map(([row]) => [row!.pid, row!.start_ns, row!.ino, row!.ts / 1_000_000_000n]);
  assert.deepEqual(first, again);
});

test('every load is a row or is counted in one', { skip, timeout: 60_000 }, async () => {
  const [processes, turns] = [20, 100];
  const libraries = [makeLibrary('one.so'), makeLibrary('two.so')];
  await settled();
  const apart = await watchKernel();
  for (let left = processes; left > 0; left--) await run(at('loader'), ['turns', ...libraries, `${turns}`]);
  await apart.stop();
  const rows = apart.rows().filter(({ event, path }) => event === 'load' && libraries.includes(path));
  for (const library of libraries) {
    const own = rows.filter(({ path }) => path === library);
    assert.equal(
      own.reduce((sum, { repeats }) => sum + 1 + repeats, 0),
      processes * turns,
    );
    assert.deepEqual(new Set(own.map((row) => outcome(row).join())), new Set([`library,${digestOf(library)},exact`]));
  }
  assert.ok(rows.length <= 2 * 4, `${rows.length} rows for ${2 * processes * turns} loads`);
  // What was counted only has no process that would stand for all of them.
  assert.ok(rows.some(({ pid, repeats }) => pid === 0 && repeats > 0));
  const counters = apart.rows().filter(({ event, event_type }) => event === 'loss' && event_type === 'load');
  assert.ok(counters.every(({ seen, sent, lost }) => seen === sent + lost && lost === 0n));
});
