import type { BusRecord, SubscribeOptions } from './bus.ts';
import type { Arrival } from './kafka-member.ts';

type Limits = Pick<SubscribeOptions, 'maxRecords' | 'maxBytes' | 'gatherMs'>;

/** What was fetched of one partition and not yet handed out: always one piece of the log, without a hole. */
export type Intake = {
  /** Where the piece begins: everything before it was taken, or is gone. */
  begin(): number;
  /** The offset that must come next. */
  next(): number;
  /** Takes an arrival in; false when it is not what must come next, and was therefore not taken. */
  accept(arrival: Arrival): boolean;
  /** Goes on from another offset, with nothing in hand. */
  restart(offset: number): void;
  /** Where a batch that begins at `from` ends: by the limits, or with what is here. Undefined when nothing is here. */
  batchEnd(limits: Limits): number | undefined;
  /** How long that batch should wait for more; 0 when it is full. Undefined when nothing is here. */
  waitMs(limits: Limits): number | undefined;
  /** Records from `from` on that the next batch would hold, up to so many bytes; at least one where there is one. */
  slice(from: number, limits: Limits, maxBytes: number): BusRecord[];
  /** When the oldest record here was published. */
  oldestMs(): number | undefined;
  /** The records before `to`, which are no longer kept then. */
  take(to: number): BusRecord[];
  /** Whether more than `factor` batches are here. */
  holds(factor: number, limits: Limits): boolean;
  /** Resolves at the next accepted arrival, restart or `wake`. */
  changed(): Promise<void>;
  wake(): void;
};

/** Longer than this nothing waits for the sake of other partitions. */
const SHARED_GATHER_MAX_MS = 1_000;

/** What `gatherMs` comes to for one of so many partitions. */
export function gatherOf({ gatherMs = 0 }: Pick<Limits, 'gatherMs'>, partitions: number): number {
  return Math.max(gatherMs, Math.min(gatherMs * partitions, SHARED_GATHER_MAX_MS));
}

export function createIntake(start: number): Intake {
  let records: BusRecord[] = [];
  let bytes = 0;
  let begin = start;
  let next = start;
  /** What came when, oldest first: each up to an offset. */
  let arrivals: { readonly next: number; readonly atMs: number }[] = [];
  let change = Promise.withResolvers<void>();
  const announce = (): void => {
    change.resolve();
    change = Promise.withResolvers<void>();
  };
  return {
    begin: () => begin,
    next: () => next,
    accept(arrival) {
      const follows = arrival.askedFrom === undefined ? arrival.next >= next : arrival.askedFrom === next;
      if (!follows) return false;
      for (const record of arrival.records) {
        records.push(record);
        bytes += record.value.byteLength;
      }
      next = arrival.next;
      if (arrival.records.length > 0) arrivals.push({ next, atMs: performance.now() });
      announce();
      return true;
    },
    restart(offset) {
      records = [];
      arrivals = [];
      bytes = 0;
      begin = offset;
      next = offset;
      announce();
    },
    batchEnd: (limits) => (records.length === 0 ? undefined : records[countOf(records, limits) - 1]!.offset + 1),
    waitMs(limits) {
      if (records.length === 0) return undefined;
      const count = countOf(records, limits);
      if (count < records.length || count === limits.maxRecords) return 0;
      return Math.max(0, arrivals[0]!.atMs + (limits.gatherMs ?? 0) - performance.now());
    },
    slice(from, limits, maxBytes) {
      const count = records.length === 0 ? 0 : countOf(records, limits);
      const first = records.findIndex(({ offset }) => offset >= from);
      if (first === -1 || first >= count) return [];
      const rest = records.slice(first, count);
      return rest.slice(0, countOf(rest, { maxRecords: rest.length, maxBytes }));
    },
    oldestMs: () => records[0]?.publishedAtMs,
    take(to) {
      const end = records.findIndex(({ offset }) => offset >= to);
      const taken = records.splice(0, end === -1 ? records.length : end);
      begin = to;
      arrivals = arrivals.filter((arrival) => arrival.next > to);
      bytes -= taken.reduce((sum, { value }) => sum + value.byteLength, 0);
      return taken;
    },
    holds: (factor, { maxRecords, maxBytes }) => records.length > factor * maxRecords || bytes > factor * maxBytes,
    changed: () => change.promise,
    wake: announce,
  };
}

/** How many records make the next batch: at least one, else as many as fit. */
function countOf(records: readonly BusRecord[], { maxRecords, maxBytes }: Limits): number {
  let bytes = records[0]!.value.byteLength;
  let count = 1;
  while (count < records.length && count < maxRecords) {
    bytes += records[count]!.value.byteLength;
    if (bytes > maxBytes) break;
    count += 1;
  }
  return count;
}
