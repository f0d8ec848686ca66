/** What an exec costs more while the probe watches. */
import { whyNotHere } from '../src/kernel/probe-kit.ts';
import type { Bench, Figure } from './bench.ts';
import { cpuNs, execCounts, startProbeProcess } from './probe-process.ts';
import { buildPrograms, type LoopTimes, type Programs } from './programs.ts';
import { alternate, summarize } from './stats.ts';
import { tempFolder } from './temp-folder.ts';

const EXECS = 2_000;
const PAIRS = 5;

type Watched = LoopTimes & { readonly probeCpu: number };

async function run(): Promise<Figure[]> {
  const folder = tempFolder('exec');
  const programs = await buildPrograms(folder);
  await programs.loop(EXECS, programs.noop);
  const { a, b } = await alternate<Watched>(
    PAIRS,
    async () => ({ ...(await programs.loop(EXECS, programs.noop)), probeCpu: 0 }),
    () => watched(programs, folder),
  );
  const seen = (await execCounts(folder)).get(programs.noop) ?? 0;
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
    {
      ...figure('added to an exec (median of each round)', 'median'),
      aim: { of: 'ratio', op: '≤', value: 0.1 },
      whyMissed: WHY_MISSED,
    },
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
async function watched(programs: Programs, folder: string): Promise<Watched> {
  const probe = await startProbeProcess(folder);
  const before = cpuNs(probe.pid);
  const times = await programs.loop(EXECS, programs.noop);
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
    `vfork, exec of a static no-op, exit and wait, ${EXECS.toLocaleString('en-US')} times in a row from C; without and ` +
    `with the probe (started anew, its own process) in turns, ${PAIRS} pairs; the digest is cached after the first.`,
  whyNotHere,
  run,
};
