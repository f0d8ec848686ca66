/** The kernel's own count of each run of a probe against the rows that came of it. */

import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { rowsOf } from '@bintrail/standalone/replay-recording.ts';

export type RunCount = {
  /** Start of the probe, milliseconds since the epoch. */
  readonly epochMs: number;
  /** Execs and exits with a number of the kernel, and loads by what their rows stand for. */
  readonly rows: number;
  /** Numbers of execs and exits below the highest of their CPU that no row has. */
  readonly holes: number;
  /** What of these the kernel had put into its rings, by the last word of the probe. */
  readonly sent: number;
  readonly lost: number;
};

const SNAPSHOT = flagBit('snapshot');
const COUNTED: ReadonlySet<unknown> = new Set(['exec', 'exit', 'load']);

/** One entry for each run of the probe, in the order of their starts. */
export function countRuns(batches: readonly Batch[]): RunCount[] {
  const runs = Map.groupBy(batches, ({ probeEpoch }) => Number(probeEpoch));
  return [...runs].map(([epochMs, own]) => ({ epochMs, ...countRun(own) })).sort((a, b) => a.epochMs - b.epochMs);
}

function countRun(batches: readonly Batch[]): Omit<RunCount, 'epochMs'> {
  const cpus = new Map<number, Set<number>>();
  const counters = new Map<string, { sent: number; lost: number }>();
  let loads = 0;
  for (const batch of batches) {
    for (const row of rowsOf(batch)) {
      if ((batch.type === 'exec' || batch.type === 'load') && (Number(row.flags) & SNAPSHOT) !== 0) continue;
      if (batch.type === 'exec' || batch.type === 'exit') {
        const seqs = cpus.get(Number(row.cpu)) ?? new Set();
        cpus.set(Number(row.cpu), seqs.add(Number(row.cpu_seq)));
      }
      if (batch.type === 'load' && row.role !== 'script') loads += 1 + Number(row.repeats);
      if (batch.type !== 'loss' || row.place !== 'ring' || !COUNTED.has(row.event_type)) continue;
      const key = `${row.cpu}:${row.event_type}`;
      const before = counters.get(key);
      const now = { sent: Number(row.sent), lost: Number(row.lost) };
      if (before === undefined || before.sent < now.sent) counters.set(key, now);
    }
  }
  const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);
  const seqs = [...cpus.values()];
  return {
    rows: sum(seqs.map((own) => own.size)) + loads,
    holes: sum(seqs.map((own) => Math.max(...own) + 1 - own.size)),
    sent: sum([...counters.values()].map(({ sent }) => sent)),
    lost: sum([...counters.values()].map(({ lost }) => lost)),
  };
}
