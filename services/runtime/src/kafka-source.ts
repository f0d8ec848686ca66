import { setTimeout as delay } from 'node:timers/promises';
import { Transient } from './errors.ts';
import type { KafkaClient } from './kafka-client.ts';
import type { Cluster } from './kafka-cluster.ts';
import { beMember, type MemberOptions, type Tenure, type Timing } from './kafka-member.ts';
import type { Log } from './log.ts';

/** Records that were gone before a reader came to them. */
export type Gone = {
  readonly topic: string;
  readonly group: string;
  readonly partition: number;
  readonly records: number;
};

/** What the readers of one open bus share. */
export type Source = {
  readonly cluster: Cluster;
  readonly createClient: () => KafkaClient;
  readonly timing: Timing;
  readonly log: Log;
  /** Told of records that retention removed, or a lost replica took along, before they were read. */
  readonly onGone: (gone: Gone) => void;
};

/** A running reader; `settled` resolves when it has ended, for whatever reason. */
export type Reading = {
  readonly done: Promise<void>;
  close(): Promise<void>;
  readonly settled: Promise<void>;
};

const AGAIN_MIN_MS = 100;
const AGAIN_MAX_MS = 10_000;

/** Is a member until `signal` aborts, another one each time the last was lost. @throws what is not Transient */
export async function stayMember(options: MemberOptions, signal: AbortSignal): Promise<void> {
  let waitMs = AGAIN_MIN_MS;
  while (!signal.aborted) {
    const startedMs = performance.now();
    try {
      await beMember(options, signal);
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      waitMs = performance.now() - startedMs > AGAIN_MAX_MS ? AGAIN_MIN_MS : Math.min(AGAIN_MAX_MS, waitMs * 2);
      options.log.warn({ topic: options.topic, groupId: options.groupId, waitMs, err: error }, 'joining again');
      await delay(waitMs, undefined, { signal }).catch(() => {});
    }
  }
}

/** Repeats what a rebalance needs until it works or the tenure is over. @throws what is not Transient */
export async function inTenure<T>({ over }: Tenure, log: Log, work: () => Promise<T>): Promise<T | undefined> {
  while (!over.aborted) {
    try {
      return await work();
    } catch (error) {
      if (over.aborted) return undefined;
      if (!(error instanceof Transient)) throw error;
      log.warn({ err: error }, 'trying again');
      await delay(AGAIN_MIN_MS);
    }
  }
  return undefined;
}

/**
 * Where to go on in a partition when `wanted` was not what came: there, unless the log does not hold it any more.
 * `gone` counts what nobody will read.
 */
export async function whereToGoOn(cluster: Cluster, topic: string, partition: number, wanted: number) {
  const { low, high } = (await cluster.ranges(topic)).get(partition) ?? { low: 0, high: 0 };
  if (wanted < low) return { offset: low, gone: low - wanted };
  // A replica that did not have the newest records became leader; or the topic was made anew, and its id is.
  if (wanted > high) return { offset: high, gone: wanted - high };
  return { offset: wanted, gone: 0 };
}
