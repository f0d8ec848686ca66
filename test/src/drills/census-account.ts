/** What the kernel's census says of the drills, held against what the bus took and what the API answers. */
import { USER_SPACE } from '@bintrail/probe/report.ts';
import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { rowsOf } from '@bintrail/standalone/replay-recording.ts';
import type { Life } from './system.ts';

const SNAPSHOT = flagBit('snapshot');

/** A run of the probe, as its messages tell. Execs. */
export type RunAccount = {
  readonly epoch: bigint;
  /** The census where it took over, all CPUs together; undefined when it was killed before it said so. */
  readonly takenOver: bigint | undefined;
  readonly rows: number;
  readonly lost: number;
};

/** Every run of the probe that got a message onto the bus, in the order of their starts. */
export function runAccounts(batches: readonly Batch[]): RunAccount[] {
  const runs = [...Map.groupBy(batches, ({ probeEpoch }) => probeEpoch)].sort(([a], [b]) => (a < b ? -1 : 1));
  return runs.map(([epoch, own]) => ({ epoch, ...runAccount(own) }));
}

function runAccount(batches: readonly Batch[]): Omit<RunAccount, 'epoch'> {
  const rows = (type: Batch['type']) => batches.filter((batch) => batch.type === type).flatMap(rowsOf);
  const taken = new Map<number, bigint>();
  for (const { cpu, taken_over } of rows('census')) {
    if (cpu !== USER_SPACE) taken.set(Number(cpu), taken_over as bigint);
  }
  const lost = new Map<string, bigint>();
  for (const { cpu, place, event_type, lost: now } of rows('loss')) {
    if (event_type === 'exec') lost.set(`${cpu}:${place}`, now as bigint);
  }
  const sum = (values: Iterable<bigint>) => [...values].reduce((total, value) => total + value, 0n);
  return {
    takenOver: taken.size === 0 ? undefined : sum(taken.values()),
    rows: rows('exec').filter(({ flags }) => (Number(flags) & SNAPSHOT) === 0).length,
    lost: Number(sum(lost.values())),
  };
}

/** A gap as the API tells it; times in milliseconds since the epoch. */
export type ToldGap = { readonly sinceMs: number; readonly untilMs: number; readonly missed: number | null };

/** The gaps between these runs of a node's probe, the eldest first; of the only node where none is named. */
export async function toldGaps({ call }: Pick<Life, 'call'>, runs: readonly RunAccount[], node?: string) {
  const { json } = await call('GET', `/v1/coverage?since=now-2h${node === undefined ? '' : `&node=${node}`}`);
  const { newest } = json.items[0].gaps as { newest: { since: string; until: string; missed: number | null }[] };
  const all = newest.map(
    ({ since, until, missed }): ToldGap => ({
      sinceMs: Date.parse(since),
      untilMs: Date.parse(until),
      missed,
    }),
  );
  const [first, last] = [Number(runs[0]!.epoch), Number(runs.at(-1)!.epoch)];
  return all.filter(({ sinceMs }) => sinceMs >= first && sinceMs < last).reverse();
}

/** Everything from the first run that told where it took over: what was before that, nobody can know. */
export function countedRuns(runs: readonly RunAccount[]): readonly RunAccount[] {
  return runs.slice(runs.findIndex(({ takenOver }) => takenOver !== undefined));
}
