/** What the probe takes of a host that does nothing, and of one in a storm of execs. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { PROBE_MAIN } from '@bintrail/probe/launch.ts';
import { whyNotHere } from '../src/kernel/probe-kit.ts';
import type { Bench, Figure } from './bench.ts';
import { type MemoryCgroup, openMemoryCgroup } from './memory-cgroup.ts';
import { cpuNs, execCounts, memoryOf, peakMb, startProbeProcess } from './probe-process.ts';
import { buildPrograms, type Programs } from './programs.ts';
import { single, summarize } from './stats.ts';
import { tempFolder } from './temp-folder.ts';

const IDLE_WINDOWS = 4;
const WINDOW_MS = 5_000;
const STORM_LOOPS = 4;
const STORM_EXECS = 5_000;
const STORM_PROGRAMS = 200;

async function run(): Promise<Figure[]> {
  const folder = tempFolder('idle');
  const programs = await buildPrograms(folder);
  const variants = Array.from({ length: STORM_PROGRAMS }, (_, which) => programs.variant(`p${which}`));
  const node = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  // The first start after a change compiles, and leaves what it made to the next one.
  await (await startProbeProcess(folder)).stop();
  const cgroup = openMemoryCgroup();
  const probe = await startProbeProcess(folder, PROBE_MAIN, [], cgroup?.wrapper);
  // Longer than the probe's rhythm of reports, so that what the start left over is done.
  await delay(6_000);
  const windows: number[][] = [];
  while (windows.length < IDLE_WINDOWS) windows.push(await cpuShares([probe.pid, node.pid!], WINDOW_MS));
  const [probeCpu, nodeCpu] = [0, 1].map((which) => summarize(windows.map((shares) => shares[which]!)));
  const others = await execsOfOthers(folder);
  const [idle, bare] = [memoryOf(probe.pid), memoryOf(node.pid!)];
  const charged = chargedFigures(cgroup);
  await storm(programs, variants);
  const stormMb = peakMb(probe.pid);
  const nodeEnds = once(node, 'exit');
  node.kill();
  await Promise.all([probe.stop(), nodeEnds]);
  await cgroup?.remove();
  const memory = (what: string, value: number, nodeMb: number) => ({
    ...{ what, unit: 'MB', value: single(value), ratio: single(value / nodeMb) },
    baseline: { what: BARE, value: single(nodeMb) },
  });
  return [
    {
      ...{ what: 'CPU when idle', unit: '% of a core', value: probeCpu!, baseline: { what: BARE, value: nodeCpu! } },
      aim: { of: 'value', op: '≤', value: 0.5 },
      whyMissed: `${others} execs of other programs happened since the probe's start; an idle host has none`,
    },
    {
      ...memory('memory when idle (RSS)', idle.rssMb, bare.rssMb),
      aim: { of: 'value', op: '≤', value: 100 },
      whyMissed: WHY_IDLE_MB,
    },
    memory('of it, shared pages divided by who shares them (PSS)', idle.pssMb, bare.pssMb),
    memory('of it private, with the rings', idle.privateMb, bare.privateMb),
    ...charged,
    {
      ...memory('memory in a storm (highest RSS)', stormMb, bare.rssMb),
      aim: { of: 'value', op: '≤', value: 150 },
      whyMissed: WHY_STORM_MB,
    },
  ];
}

function chargedFigures(cgroup: MemoryCgroup | undefined): Figure[] {
  if (cgroup === undefined) return [];
  return [{ what: 'charged to its memory cgroup when idle', unit: 'MB', value: single(cgroup.chargedMb()) }];
}

const BARE = 'a bare Node process';
const WHY_IDLE_MB =
  "55 MB are Node's own program text and constants, which all its processes on a host share; the rings have 42 MB " +
  '(from two processors on); the rest are the heaps of two threads, the package index and tables.';
const WHY_STORM_MB = `${WHY_IDLE_MB} The rest is the heap's young generation and rows on their way.`;

/** Percent of a core that each process used over a stretch of time. */
async function cpuShares(pids: readonly number[], ms: number): Promise<number[]> {
  const before = pids.map(cpuNs);
  await delay(ms);
  return pids.map((pid, index) => ((cpuNs(pid) - before[index]!) / (ms * 1e6)) * 100);
}

async function execsOfOthers(folder: string): Promise<number> {
  const counts = await execCounts(folder);
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

/** All loops side by side, each going through all programs. */
async function storm(programs: Programs, variants: readonly string[]): Promise<void> {
  const rounds = STORM_EXECS / variants.length;
  const loop = async () => {
    for (const variant of variants) await programs.loop(rounds, variant);
  };
  await Promise.all(Array.from({ length: STORM_LOOPS }, loop));
}

export const bench: Bench = {
  name: 'idle',
  title: 'What the probe takes',
  method:
    `The probe in its own process: CPU time of all threads in ${IDLE_WINDOWS} windows of ${WINDOW_MS / 1_000} s, its memory then, and its highest RSS after ` +
    `a storm of ${(STORM_LOOPS * STORM_EXECS).toLocaleString('en-US')} execs of ${STORM_PROGRAMS} programs by ${STORM_LOOPS} loops. ` +
    "Charged to its cgroup, which a container's limit is of, are its own pages, the rings and all BPF maps; not counted are " +
    'file pages that the kernel may take away first.',
  whyNotHere,
  run,
};
