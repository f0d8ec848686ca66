/**
 * Between the probe and a bus that may be away: what the bus does not take is written to a file, and handed over in the
 * order in which it was made once the bus is back, by this process or by the next one. While the file holds anything,
 * everything goes through it. A crash between the bus's acknowledgement and the file's sends a message twice: it has the
 * same batch_seq, and ingest drops it.
 *
 * The file is bounded. When it is full `publish` throws Transient: the newest messages then wait in the memory of
 * events-out.ts, and beyond that the newest rows are dropped and counted as loss at `outbox`. What is oldest stays: it
 * is what led to the rest.
 */
import type { Bus, Message } from '@bintrail/runtime/bus.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import type { Metrics } from '@bintrail/runtime/metrics.ts';
import { pump } from '@bintrail/runtime/pump.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';

export type OutboxOptions = {
  /** A SQLite bus of the probe's own; closed by whoever opened it, after the outbox. */
  readonly file: Bus;
  /** Hands messages of the events topic to the bus; throws Transient while it is away. */
  readonly upstream: (messages: readonly Message[]) => Promise<void>;
  readonly log: Log;
  readonly metrics: Metrics;
};

export type Outbox = {
  /** Resolves when the bus or the file has them all; throws Transient when the file is full. One call at a time. */
  readonly publish: (messages: readonly Message[]) => Promise<void>;
  /** Messages in the file. */
  readonly depth: () => number;
  /** Rejects on a bug. */
  readonly done: Promise<void>;
  /** Leaves in the file what the bus has not taken. */
  readonly close: () => Promise<void>;
};

const GROUP = 'outbox';
/** A Kafka request stays below a broker's default of 1 MiB a batch, whatever the messages are. */
const DRAIN = { topic: TOPICS.events, group: GROUP, maxRecords: 256, maxBytes: 512 * 1024 };
/** A fleet whose bus comes back must not wait for it long, nor return all at once. */
const BACKOFF = { baseMs: 250, capMs: 5_000 };

/** Looks what an earlier process left in the file, and begins to hand it over. */
export async function openOutbox({ file, upstream, log, metrics }: OutboxOptions): Promise<Outbox> {
  let depth = (await file.lag(TOPICS.events, GROUP)).records;
  const drain = pump({
    ...DRAIN,
    ...{ bus: file, log, metrics, backoff: BACKOFF, stage: 'outbox', deadTopic: TOPICS.dead },
    process: async ({ records }) => {
      await upstream(records.map(({ key, value }) => ({ key, value })));
      depth -= records.length;
      return { in: records.length, out: records.length, dead: [] };
    },
  });
  const publish = async (messages: readonly Message[]): Promise<void> => {
    if (depth === 0 && (await takes(upstream, messages))) return;
    // Counted first: they may be handed over before the line below has returned.
    depth += messages.length;
    try {
      await file.publish(TOPICS.events, messages);
    } catch (error) {
      depth -= messages.length;
      throw error;
    }
  };
  return { publish, depth: () => depth, done: drain.done, close: drain.close };
}

async function takes(upstream: OutboxOptions['upstream'], messages: readonly Message[]): Promise<boolean> {
  try {
    await upstream(messages);
    return true;
  } catch (error) {
    if (error instanceof Transient) return false;
    throw error;
  }
}
