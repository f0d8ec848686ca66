/** What an exec costs more while the probe watches. */
import { cpus } from 'node:os';
import { whyNotHere } from '../src/kernel/probe-kit.ts';
import type { Bench, Figure } from './bench.ts';
import { cpuNs, execCounts, startProbeProcess } from './probe-process.ts';
import { buildPrograms, type LoopTimes, type Programs } from './programs.ts';
import { alternate, single, summarize } from './stats.ts';
import { tempFolder } from './temp-folder.ts';

const EXECS = 2_000;
const PAIRS = 5;
const STORM_EXECS = 10_000;

type Watched = LoopTimes & { readonly probeCpu: number };

async function run(): Promise<Figure[]> {
  const folder = tempFolder('exec');
  const programs = await buildPrograms(folder);
  const [added, addedCpu, probeCpu, arrived] = await costOf(programs, programs.noop, folder);
  const [withLibraries, withLibrariesCpu, probeCpuWithLibraries] = await costOf(programs, programs.dynamic, folder);
  const named = (figure: Figure, what: string): Figure => ({ ...figure, what });
  return [
    { ...added, aim: { of: 'ratio', op: '≤', value: 0.1 }, whyMissed: WHY_MISSED },
    addedCpu,
    probeCpu,
    arrived,
    named(withLibraries, 'added to an exec with a loader and five libraries'),
    named(withLibrariesCpu, 'added CPU time in the processes, with these'),
    named(probeCpuWithLibraries, 'CPU time of the probe, with these'),
    await storm(programs, folder),
  ];
}

/** As many execs as all cores can do, and how many of them reached the bus. */
async function storm(programs: Programs, folder: string): Promise<Figure> {
  const variants = cpus().map((_, core) => programs.variant(`storm${core}`));
  const probe = await startProbeProcess(folder);
  const beganMs = performance.now();
  await Promise.all(variants.map((program) => programs.loop(STORM_EXECS, program)));
  const seconds = (performance.now() - beganMs) / 1_000;
  await probe.stop();
  const counts = await execCounts(folder);
  const seen = variants.reduce((sum, program) => sum + (counts.get(program) ?? 0), 0);
  const run = STORM_EXECS * variants.length;
  const text = (count: number) => count.toLocaleString('en-US');
  return {
    ...{
      what: 'execs a second, one loop a core, beside the probe',
      unit: 'execs/s',
      value: single(run / seconds, run),
    },
    detail: `${text(seen)} of ${text(run)} reached the bus`,
  };
}

/** What the execs of one program cost more, and the probe; and how many of them reached the bus. */
async function costOf(programs: Programs, program: string, folder: string): Promise<[Figure, Figure, Figure, Figure]> {
  await programs.loop(EXECS, program);
  const { a, b } = await alternate<Watched>(
    PAIRS,
    async () => ({ ...(await programs.loop(EXECS, program)), probeCpu: 0 }),
    () => watched(programs, program, folder),
  );
  const seen = (await execCounts(folder)).get(program) ?? 0;
  const us = (times: readonly LoopTimes[], which: keyof LoopTimes) => times.map((one) => one[which] / 1_000);
  const figure = (what: string, which: keyof LoopTimes): Figure => {
    const [bare, with_] = [us(a, which), us(b, which)];
    return {
      ...{ what, unit: 'µs', value: summarize(with_.map((value, pair) => value - bare[pair]!)) },
      baseline: { what: 'the bare exec', value: summarize(bare) },
      ratio: summarize(with_.map((value, pair) => value / bare[pair]! - 1)),
    };
  };
  return [
    figure('added to an exec (median of each round)', 'median'),
    figure('added CPU time in the processes that exec', 'cpu'),
    {
      what: 'CPU time of the probe for an exec and its exit',
      unit: 'µs',
      value: summarize(b.map((one) => one.probeCpu / 1_000)),
    },
    {
      what: 'execs that reached the bus, of those run',
      unit: '%',
      value: { ...summarize([(100 * seen) / (EXECS * PAIRS)]), samples: EXECS * PAIRS },
      aim: { of: 'value', op: '≥', value: 100 },
    },
  ];
}

const WHY_MISSED =
  'the kernel side adds what the CPU time of the processes shows; the rest is the probe, which works on the same cores.';

/** One round beside a probe that was started for it. */
async function watched(programs: Programs, program: string, folder: string): Promise<Watched> {
  const probe = await startProbeProcess(folder);
  const before = cpuNs(probe.pid);
  const times = await programs.loop(EXECS, program);
  // What it has read and not yet sent belongs to the execs too.
  await new Promise((resolve) => setTimeout(resolve, 700));
  const probeCpu = (cpuNs(probe.pid) - before) / EXECS;
  await probe.stop();
  return { ...times, probeCpu };
}

export const bench: Bench = {
  name: 'exec',
  title: 'Cost of an exec',
  method:
    `vfork, exec of a static no-op, and of one with libraries, exit and wait, ${EXECS.toLocaleString('en-US')} times in a row from C; without and ` +
    `with the probe (started anew, its own process) in turns, ${PAIRS} pairs; the digest is cached after the first. At last one loop a core, ${STORM_EXECS.toLocaleString('en-US')} execs each.`,
  whyNotHere,
  run,
};
