/**
 * Every exec of a storm arrives once, with a digest or a reason, and none that claims to be certain is wrong; meanwhile
 * filesystems are unmounted and containers start again. By hand, as the issue asks for it:
 *   BINTRAIL_STORM=50000 node --test test/src/storm/storm.test.ts
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openPodman, type Podman, whyNoContainers } from '../containers/podman-kit.ts';
import { type ProbeApart, startProbeApart } from '../kernel/probe-apart.ts';
import { run, type SeenRow, whyNotHere } from '../kernel/probe-kit.ts';
import { containerStorm, type Weather } from './container-storm.ts';
import { prepareStorm, type Storm } from './storm-kit.ts';

const skip = whyNotHere() ?? false;
/** Execs of each storm, of a tenth as many programs. */
const EXECS = Number(process.env.BINTRAIL_STORM ?? 20_000);
const PROGRAMS = EXECS / 10;
/** Those in a container: fewer where nobody asked for a size. */
const CONTAINED = process.env.BINTRAIL_STORM === undefined ? EXECS / 4 : EXECS;
const LOOPS = 4;
const OVERWRITES = 2_000;
/** How long a held file may keep a filesystem from being unmounted, or a container from starting again. */
const BOUND_MS = 2_000;
/** Share of a core that a probe wants at most which has nothing left to do, and how often that is looked at. */
const [CALM_SHARE, LOOK_MS] = [0.5, 500];
/** The agent's memory at its highest. 150,000 execs took 644 to 706 MB: tables of 65,536 files, and rows that wait. */
const MAX_MEMORY_MB = 896;
/** Share of the execs whose file was gone before anybody could read it: other work of this host takes room too. */
const MAX_MISSING = 0.005;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-storm-'));
const at = (name: string) => join(folder, name);

type Place = { readonly name: string; readonly storm: Weather; readonly execs: number; ran: number };
const places: Place[] = [];
const rows: SeenRow[] = [];
const found = { memoryMb: 0, unmountMs: 0, restartsMs: [] as number[], overwritten: 0 };
let inPlace: Storm;
let pod: Podman | undefined;
let killProbe = () => {};

async function prepare(name: string): Promise<Storm> {
  mkdirSync(at(name), { recursive: true });
  return prepareStorm(at(`${name}-tools`), at(name), PROGRAMS);
}

async function blow(place: Place): Promise<void> {
  place.ran = await place.storm.blow(LOOPS, place.execs / LOOPS);
}

/** Until the probe has read and sent what it was told, and only looks after what else runs here. */
async function calm(pid: number): Promise<void> {
  const limitMs = performance.now() + 120_000;
  for (let share = 1, before = busyNs(pid); share > CALM_SHARE && performance.now() < limitMs; ) {
    await delay(LOOK_MS);
    const now = busyNs(pid);
    share = (now - before) / (LOOK_MS * 1e6);
    before = now;
  }
}

/** Time that all threads had a processor, or waited for one (Documentation/scheduler/sched-stats.rst). */
function busyNs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`).map((task) => `/proc/${pid}/task/${task}/schedstat`);
  const [ran, waited] = [0, 1].map((field) =>
    threads.reduce((sum, path) => sum + Number(readFileSync(path, 'utf8').split(' ')[field]), 0),
  );
  return ran! + waited!;
}

async function unmount(): Promise<number> {
  const startedMs = performance.now();
  const isDone = () =>
    run('umount', [at('memory')]).then(
      () => true,
      () => false,
    );
  while (!(await isDone()) && performance.now() - startedMs < 2 * BOUND_MS) await delay(20);
  return performance.now() - startedMs;
}

async function restarts(podman: Podman['podman'], id: string): Promise<number[]> {
  const tookMs: number[] = [];
  for (let round = 0; round < 3; round++) {
    const startedMs = performance.now();
    await podman('restart', '--time', '0', id);
    tookMs.push(performance.now() - startedMs);
  }
  return tookMs;
}

/** Highest resident size of a process in MB (VmHWM, proc_pid_status(5)). */
function peakMb(pid: number): number {
  const [, kib] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
  return Number(kib) / 1_000;
}

describe(`storms of ${EXECS} execs`, { skip }, () => {
  before(
    async () => {
      pod = whyNoContainers() === undefined ? await openPodman() : undefined;
      mkdirSync(at('memory'));
      await run('mount', ['-t', 'tmpfs', 'storm', at('memory')]);
      places.push({ name: 'the root filesystem', storm: await prepare('disk'), execs: EXECS, ran: 0 });
      places.push({ name: 'tmpfs', storm: await prepare('memory'), execs: EXECS, ran: 0 });
      if (pod) {
        const storm = await containerStorm(pod, CONTAINED / 10);
        places.push({ name: 'the overlay of a container', storm, execs: CONTAINED, ran: 0 });
      }
      mkdirSync(at('in-place'));
      inPlace = await prepareStorm(at('in-place-tools'), at('in-place'), 2);
      const steady = await pod?.podman('run', '-d', pod.image, '/bin/sleep', '600');
      const probe = await startProbeApart(at('home'), ['env']);
      killProbe = probe.kill;
      const [disk, memory, overlay] = places as [Place, Place, Place | undefined];
      await blow(disk);
      found.overwritten = await inPlace.overwrite(OVERWRITES);
      await calm(probe.pid);
      await blow(memory);
      const meanwhile = overlay ? blow(overlay) : disk.storm.blow(1, 1);
      found.unmountMs = await unmount();
      if (pod && steady) found.restartsMs = await restarts(pod.podman, steady);
      await meanwhile;
      await calm(probe.pid);
      found.memoryMb = peakMb(probe.pid);
      for (const row of await stop(probe)) rows.push(row);
    },
    { timeout: 600_000 },
  );

  after(async () => {
    killProbe();
    await pod?.close();
    await run('umount', ['--lazy', at('memory')]).catch(() => {});
    rmSync(folder, { recursive: true, force: true });
  });

  for (const [index, name] of ['the root filesystem', 'tmpfs', 'the overlay of a container'].entries()) {
    test(`on ${name}: all there, once, with digests that are right`, (t) => {
      const place = places[index];
      if (place === undefined) return t.skip(whyNoContainers());
      assert.equal(place.ran, place.execs);
      const seen = finalRows(place.storm);
      assert.equal(seen.length, place.ran);
      assert.equal(new Set(seen.map(({ row }) => imageOf(row))).size, place.ran, 'each once');
      t.diagnostic(JSON.stringify(checkDigests(place.storm, seen)));
      const missing = seen.filter(({ row }) => row.sha256 === '');
      assert.ok(
        missing.every(({ row }) => row.digest_reason !== '' && row.digest_reason !== 'pending'),
        'a digest or a reason',
      );
      assert.ok(missing.length <= MAX_MISSING * place.execs, `${missing.length} have no digest`);
    });
  }

  test('two programs in turn in one file, in place: no digest that claims to be certain is wrong', (t) => {
    assert.equal(found.overwritten, OVERWRITES);
    const seen = finalRows(inPlace);
    assert.equal(seen.length, OVERWRITES);
    t.diagnostic(JSON.stringify(checkDigests(inPlace, seen)));
  });

  test('a filesystem is unmounted as soon as its storm is over, beside another one', (t) => {
    t.diagnostic(`${Math.round(found.unmountMs)} ms`);
    assert.ok(found.unmountMs < BOUND_MS, `umount took ${found.unmountMs} ms`);
  });

  test('a container starts again within 2 s beside a storm', (t) => {
    if (!pod) return t.skip(whyNoContainers());
    t.diagnostic(`${found.restartsMs.map(Math.round)} ms`);
    // podman itself needs a while where other work goes on: one of three may take longer.
    const [, median] = found.restartsMs.toSorted((a, b) => a - b);
    assert.ok(median! < BOUND_MS, `restarts took ${found.restartsMs} ms`);
  });

  test('memory has a bound, and no exec was lost', (t) => {
    t.diagnostic(`${Math.round(found.memoryMb)} MB`);
    assert.ok(found.memoryMb < MAX_MEMORY_MB, `${found.memoryMb} MB`);
    const lost = rows.filter(({ event, lost, event_type }) => event === 'loss' && lost > 0n && event_type === 'exec');
    assert.deepEqual(lost, []);
  });
});

/** Everything sent of execs; what is told of files, of each copy thrice, would only take memory. */
const stop = (probe: ProbeApart) => probe.stop(['exec', 'digest', 'loss']);

const imageOf = (row: SeenRow) => `${row.pid}:${row.start_ns}:${row.self_exec_id}`;

/** Rows of this storm that are final, each with the program it must have been. */
function finalRows(storm: Weather): { row: SeenRow; program: number }[] {
  const late = new Map(rows.flatMap((row) => (row.event === 'digest' ? [[imageOf(row), row]] : [])));
  return rows.flatMap((row) => {
    if (row.event !== 'exec') return [];
    const program = storm.programOf({ path: row.path, argv: row.argv.split('\0') });
    if (program === undefined) return [];
    return [{ row: row.digest_reason === 'pending' ? (late.get(imageOf(row)) ?? row) : row, program }];
  });
}

function checkDigests(storm: Weather, seen: readonly { row: SeenRow; program: number }[]): Record<string, number> {
  const strengths: Record<string, number> = {};
  for (const { row, program } of seen) {
    const word = row.digest_strength || `no digest: ${row.digest_reason}`;
    strengths[word] = (strengths[word] ?? 0) + 1;
    if (row.digest_strength !== 'exact' && row.digest_strength !== 'alive') continue;
    assert.equal(row.sha256, storm.digests[program], `${row.digest_strength} but wrong: ${row.path}`);
  }
  return strengths;
}
