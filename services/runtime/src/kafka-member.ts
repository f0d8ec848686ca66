import { setTimeout as delay } from 'node:timers/promises';
import type { Batch, Consumer, EachBatchPayload } from 'kafkajs';
import type { BusRecord, SubscribeOptions } from './bus.ts';
import { Transient } from './errors.ts';
import type { KafkaClient } from './kafka-client.ts';
import { busFault } from './kafka-errors.ts';
import { beforeEachJoin } from './kafka-joining.ts';
import type { Log } from './log.ts';

/** The clocks of a group's member. */
export type Timing = {
  /** A member that says nothing for so long is dead to its group, and its partitions go to others. */
  readonly sessionTimeoutMs: number;
  readonly heartbeatMs: number;
  /** How long a join waits for members that still work on something; ours never do, they join at once. */
  readonly rebalanceTimeoutMs: number;
  /** How long a broker holds an empty answer back: new records come at once, what was paused goes on after this. */
  readonly maxWaitMs: number;
  /** A member that fetches nothing, not even an empty answer, for so long is replaced: longer than a join may take. */
  readonly stallMs: number;
};

/** What one fetch brought of one partition. */
export type Arrival = {
  readonly partition: number;
  /** The offset asked for; undefined where a fetch brought nothing but compacted-away records, and kafkajs tells only its end. */
  readonly askedFrom: number | undefined;
  /** The offset it will ask for next. */
  readonly next: number;
  readonly records: readonly BusRecord[];
};

/** Membership in one generation of the group: the time between one rebalance and the next. */
export type Tenure = {
  /** Paused when it begins. */
  readonly partitions: readonly number[];
  readonly over: AbortSignal;
  /** Whether certainly no other member has these partitions at this moment. */
  isOurs(): boolean;
  /** One try, under this generation or not at all: refused by the broker once another has begun, here even before. */
  commit(partition: number, offset: number, metadata: string): Promise<void>;
  /** These do nothing once the tenure is over. */
  seek(partition: number, offset: number): void;
  pause(partition: number): void;
  resume(partition: number): void;
};

export type MemberOptions = {
  readonly createClient: () => KafkaClient;
  readonly topic: string;
  readonly groupId: string;
  readonly timing: Timing;
  readonly gatherMs?: SubscribeOptions['gatherMs'];
  readonly log: Log;
  readonly onTenure: (tenure: Tenure) => void;
  /** The tenure is about to end in order: waited for, up to three quarters of the time the group waits for us. */
  readonly onLeaving?: (tenure: Tenure) => Promise<void>;
  readonly onArrival: (tenure: Tenure, arrival: Arrival) => void;
};

/** Thrown by `commit` when the generation is over. */
export class TenureOver extends Error {
  override readonly name = 'TenureOver';
}

/** A goodbye that is not answered by then will not be: the group learns of it by the session timeout. */
const GOODBYE_MS = 3_000;
const LEAVING_SHARE = 0.75;
/** How much one fetch may bring: of a partition, and of all that one broker leads. */
export const FETCH_LIMITS = { maxBytesPerPartition: 4 * 1024 * 1024, maxBytes: 16 * 1024 * 1024 };

/**
 * A member of a group until `signal` aborts. kafkajs' own restarts are off: whatever ends its consumer ends this one, and
 * the caller makes another. eachBatch only hands over, so kafkajs' loop, which also heartbeats, never waits for a stage.
 * @throws Transient when it crashed or stalled and another may do better, SetupError, or what kafkajs threw
 */
export async function beMember(options: MemberOptions, signal: AbortSignal): Promise<void> {
  const client = options.createClient();
  const consumer = createConsumer(client, options);
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
  const stop = (): void => resolve();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const tenures = watchTenures(consumer, options);
  let lastSignMs = performance.now();
  const sign = (): void => {
    lastSignMs = performance.now();
  };
  consumer.on('consumer.crash', ({ payload }) => reject(payload.error));
  consumer.on('consumer.fetch', sign);
  consumer.on('consumer.group_join', sign);
  const beat = setInterval(() => {
    if (performance.now() - lastSignMs > options.timing.stallMs) reject(new Transient('the consumer has stalled'));
    // A rebalance it is told of is also told to kafkajs' own next heartbeat, which acts on it.
    tenures
      .payload()
      ?.heartbeat()
      .catch(() => {});
  }, options.timing.heartbeatMs);
  try {
    const started = beforeEachJoin(tenures.leave, () => start(consumer, options.topic, tenures.eachBatch));
    await Promise.race([ended, started.then(() => ended)]);
  } catch (error) {
    throw busFault(error, `consuming ${options.topic}`);
  } finally {
    clearInterval(beat);
    signal.removeEventListener('abort', stop);
    if (signal.aborted) await tenures.leave();
    tenures.end();
    await Promise.race([consumer.disconnect().catch(() => {}), delay(GOODBYE_MS, undefined, { ref: false })]);
    client.destroy();
  }
}

/**
 * For one who gathers the broker gathers too, a part of the time and until it has so much: of a fleet's many small messages
 * each would else be a fetch, which costs both sides more than the records in it.
 */
const BROKER_GATHERS = { share: 0.25, minBytes: 1024 * 1024 };

function createConsumer({ kafka }: KafkaClient, { groupId, timing, gatherMs }: MemberOptions): Consumer {
  const waitMs = Math.min(timing.maxWaitMs, (gatherMs ?? Number.POSITIVE_INFINITY) * BROKER_GATHERS.share);
  return kafka.consumer({
    groupId,
    sessionTimeout: timing.sessionTimeoutMs,
    rebalanceTimeout: timing.rebalanceTimeoutMs,
    heartbeatInterval: timing.heartbeatMs,
    maxWaitTimeInMs: Math.ceil(waitMs),
    minBytes: gatherMs === undefined ? 1 : BROKER_GATHERS.minBytes,
    ...FETCH_LIMITS,
    allowAutoTopicCreation: false,
  });
}

async function start(
  consumer: Consumer,
  topic: string,
  eachBatch: (payload: EachBatchPayload) => Promise<void>,
): Promise<void> {
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({ autoCommit: false, eachBatchAutoResolve: true, partitionsConsumedConcurrently: 1, eachBatch });
}

/** Turns kafkajs' events into tenures. `end` is also called from outside, when the consumer is given up. */
function watchTenures(consumer: Consumer, options: MemberOptions) {
  const { topic, onTenure, onLeaving, onArrival, log, groupId, timing } = options;
  const isKnown = watchLease(consumer, timing);
  let current: { tenure: Tenure; ending: AbortController } | undefined;
  let payload: EachBatchPayload | undefined;
  const end = (): void => {
    current?.ending.abort();
    current = undefined;
  };
  const leave = async (): Promise<void> => {
    const waited = current && onLeaving?.(current.tenure);
    if (waited)
      await Promise.race([waited, delay(timing.rebalanceTimeoutMs * LEAVING_SHARE, undefined, { ref: false })]);
    end();
  };
  // After a crash kafkajs stops itself first and tells of the crash later; from here on its functions throw.
  consumer.on('consumer.stop', end);
  // The answer to JoinGroup is where kafkajs takes the new generation; it says so only after SyncGroup, and would commit
  // under it what was planned under the old one.
  consumer.on('consumer.network.request', ({ payload: request }) => {
    if (request.apiName === 'JoinGroup') end();
  });
  consumer.on('consumer.group_join', ({ payload: joined }) => {
    end();
    const ending = new AbortController();
    const partitions = joined.memberAssignment[topic] ?? [];
    const tenure = createTenure(consumer, topic, partitions, ending.signal, () => payload, isKnown);
    current = { tenure, ending };
    log.info({ topic, groupId, partitions }, 'joined');
    // Until it is known where to begin. kafkajs would begin at the committed offset, and where the log no longer has that,
    // commit another in its place, without our metadata.
    for (const partition of partitions) tenure.pause(partition);
    onTenure(tenure);
  });
  consumer.on('consumer.end_batch_process', ({ payload: batch }) => {
    if (batch.batchSize > 0 || current === undefined) return;
    const next = Number(batch.lastOffset) + 1;
    onArrival(current.tenure, { partition: batch.partition, askedFrom: undefined, next, records: [] });
  });
  return {
    end,
    leave,
    payload: () => payload,
    async eachBatch(arrived: EachBatchPayload): Promise<void> {
      payload = arrived;
      if (current !== undefined) onArrival(current.tenure, toArrival(arrived.batch));
    },
  };
}

/**
 * Whether the group still counts us in, for certain: it gives nobody our partitions before we said nothing for the session's
 * time, or did not join again for a rebalance's, since we sent the last request that it answered well. Monotonic time goes
 * on while a process is stopped, but not while its machine is suspended.
 */
function watchLease(consumer: Consumer, { sessionTimeoutMs, rebalanceTimeoutMs }: Timing): () => boolean {
  let sentMs = Number.NEGATIVE_INFINITY;
  let sinceMs = sentMs;
  consumer.on('consumer.network.request', ({ payload: { apiName, duration } }) => {
    if (apiName === 'Heartbeat' || apiName === 'SyncGroup') sentMs = performance.now() - Math.max(0, duration);
  });
  const renew = (): void => {
    sinceMs = sentMs;
  };
  consumer.on('consumer.heartbeat', renew);
  consumer.on('consumer.group_join', renew);
  return () => performance.now() - sinceMs < Math.min(sessionTimeoutMs, rebalanceTimeoutMs);
}

function createTenure(
  consumer: Consumer,
  topic: string,
  partitions: readonly number[],
  over: AbortSignal,
  payload: () => EachBatchPayload | undefined,
  isKnown: () => boolean,
): Tenure {
  return {
    partitions,
    over,
    isOurs: () => !over.aborted && isKnown(),
    async commit(partition, offset, metadata) {
      const group = payload();
      if (over.aborted || group === undefined) throw new TenureOver();
      // Not consumer.commitOffsets: that tries again by itself, and takes the generation anew for each try.
      const offsets = { topics: [{ topic, partitions: [{ partition, offset: String(offset), metadata }] }] };
      await group.commitOffsetsIfNecessary(offsets);
    },
    seek(partition, offset) {
      if (!over.aborted) consumer.seek({ topic, partition, offset: String(offset) });
    },
    pause(partition) {
      if (!over.aborted) consumer.pause([{ topic, partitions: [partition] }]);
    },
    resume(partition) {
      if (!over.aborted) consumer.resume([{ topic, partitions: [partition] }]);
    },
  };
}

/** `fetchedOffset` is not in kafkajs' types. Without it a gap in what it fetched looks like a gap in the log. */
function toArrival(batch: Batch & { fetchedOffset?: string }): Arrival {
  const records = batch.messages.map(({ offset, key, timestamp, value }) => ({
    offset: Number(offset),
    key: key?.toString() ?? '',
    publishedAtMs: Number(timestamp),
    value: value ?? new Uint8Array(),
  }));
  const askedFrom = Number(batch.fetchedOffset);
  return { partition: batch.partition, askedFrom, next: Number(batch.lastOffset()) + 1, records };
}
