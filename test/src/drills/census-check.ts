/** Holds the gaps the API tells of against the kernel's own count, the messages on the bus, and the driver's journal. */
import assert from 'node:assert/strict';
import { isCounting, openCensus } from '@bintrail/probe/census.ts';
import { loadLibbpf, loadLibc } from '@bintrail/probe/ffi.ts';
import { eventually } from '../e2e/bintrail.ts';
import { CENSUS_OBJECT } from '../kernel/probe-kit.ts';
import { within } from './account.ts';
import { countedRuns, type RunAccount, runAccounts, type ToldGap, toldGaps } from './census-account.ts';
import type { Aftermath } from './run-drills.ts';

export type DrillCensus = {
  /** Execs counted on all CPUs by now. */
  readonly execs: () => bigint;
  /** The same when it was opened, before any probe. */
  readonly atFirst: bigint;
  readonly close: () => void;
};

/** Begins the census that all lives of the drills share. */
export function openForDrills(folder: string): DrillCensus {
  const census = openCensus(loadLibbpf(), loadLibc(), CENSUS_OBJECT, folder);
  if (!isCounting(census)) throw new Error(census.words);
  const execs = () => census.counts().reduce((sum, cpu) => sum + cpu.execs, 0n);
  return { execs, atFirst: execs(), close: census.close };
}

/** Other programs of the machine are counted too: the sum is exact, the driver's share is at most what is missed. */
export async function checkCensus(aftermath: Aftermath, census: DrillCensus): Promise<void> {
  const runs = countedRuns(runAccounts(aftermath.batches));
  const [first, last] = [runs[0]!.takenOver!, runs.at(-1)!.takenOver!];
  assert.ok(census.atFirst <= first && first < last && last <= census.execs(), 'as the kernel has it');
  const gaps = await eventually('the census of the last start', 30_000, async () => {
    const told = await toldGaps(aftermath.life, runs);
    return told.every(({ missed }) => missed !== null) ? told : undefined;
  });
  assert.ok(
    gaps.every(({ sinceMs }, at) => sinceMs > (gaps[at - 1]?.sinceMs ?? 0)),
    'each gap once',
  );
  let [accounted, missed] = [0, 0];
  for (const span of spansOf(runs)) {
    const inIt = gaps.filter(({ sinceMs }) => sinceMs >= span.fromMs && sinceMs < span.toMs);
    const missedInIt = inIt.reduce((sum, gap) => sum + gap.missed!, 0);
    assert.equal(span.accounted + missedInIt, span.counted, 'stored + lost + missed = counted by the kernel');
    accounted += span.accounted;
    missed += missedInIt;
  }
  assert.equal(accounted + missed, Number(last - first));
  for (const gap of gaps) {
    const known = ranWhileDown(aftermath, gap);
    assert.ok(gap.missed! >= known, `${gap.missed} missed, and the driver knows of ${known}`);
  }
  console.log(`${accounted} execs stored or lost, ${missed} missed in ${gaps.length} gaps: ${last - first} counted`);
}

/** From each run that told where it took over to the next such; between them lie those that were killed before. */
export function spansOf(runs: readonly RunAccount[]) {
  const starts = [...runs.keys()].filter((at) => runs[at]!.takenOver !== undefined);
  return starts.slice(0, -1).map((from, index) => {
    const to = starts[index + 1]!;
    return {
      fromMs: Number(runs[from]!.epoch),
      toMs: Number(runs[to]!.epoch),
      counted: Number(runs[to]!.takenOver! - runs[from]!.takenOver!),
      accounted: runs.slice(from, to).reduce((sum, { rows, lost }) => sum + rows + lost, 0),
    };
  });
}

/** How many programs of the driver began and ended while nothing of Bintrail was there, within this gap. */
function ranWhileDown({ killed, calm, ran }: Aftermath, { sinceMs, untilMs }: ToldGap): number {
  const downs = killed.map(({ goneNs }, at) => ({ fromNs: goneNs, toNs: (killed[at + 1] ?? calm).startedNs }));
  const inIt = downs.filter(({ fromNs, toNs }) => wallMs(fromNs) >= sinceMs && wallMs(toNs) <= untilMs);
  return inIt.reduce((sum, { fromNs, toNs }) => sum + within(ran, fromNs, toNs).length, 0);
}

/** The account's clock as milliseconds since the epoch. */
function wallMs(ns: bigint): number {
  return Date.now() - Number((process.hrtime.bigint() - ns) / 1_000_000n);
}
