import { setImmediate as turn } from 'node:timers/promises';
import type { BusRecord, SubscribeOptions } from './bus.ts';
import { Transient } from './errors.ts';
import { busError } from './sqlite-file.ts';
import type { TopicLog } from './sqlite-log.ts';

/** Reads, while a plan is with its handler, what the next one will begin with: bytes only, no plan is made of them. */
export type ReadingAhead = {
  /** Reads from this offset on, at most what a plan may hold. */
  start(topic: TopicLog, from: number): void;
  /** Resolves when nothing is read any more; rejects with what the subscriber threw. */
  stop(): Promise<void>;
  /** What was read of [from, to) without a gap from `from` on; the rest is forgotten. */
  take(from: number, to: number): BusRecord[];
};

/** Smaller than what a plan is read by: whoever has the plan in hand comes first. */
const SLICE_BYTES = 256 * 1024;

export function createAhead(options: SubscribeOptions): ReadingAhead {
  let records: BusRecord[] = [];
  let stopped = true;
  let running: Promise<void> = Promise.resolve();

  const read = async (topic: TopicLog, from: number): Promise<void> => {
    await turn();
    const to = tryRead(() => topic.batchEnd(from, options));
    for (let next = from; !stopped && to !== undefined && next < to; ) {
      const slice = tryRead(() => topic.read(next, to, SLICE_BYTES));
      const last = slice?.at(-1);
      if (slice === undefined || last === undefined) return;
      for (const record of slice) records.push(record);
      next = last.offset + 1;
      options.ahead?.prepare(slice);
      await turn();
    }
  };
  return {
    start(topic, from) {
      records = [];
      stopped = false;
      running = read(topic, from);
      // `stop` tells; until then nobody listens.
      running.catch(() => {});
    },
    async stop() {
      stopped = true;
      await running;
    },
    take(from, to) {
      const follows = records[0] !== undefined && records[0].offset >= from;
      const taken = follows ? records.filter(({ offset }) => offset < to) : [];
      const left = records.slice(taken.length);
      records = [];
      if (left.length > 0) options.ahead?.forget(left);
      return taken;
    },
  };
}

/** Undefined while another process holds the file: the plan itself is read by who waits for it. */
function tryRead<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    const fault = busError(error);
    if (fault instanceof Transient) return undefined;
    throw fault;
  }
}
