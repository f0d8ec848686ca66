import { setTimeout as delay } from 'node:timers/promises';
import type { Admin, Kafka } from 'kafkajs';
import { Transient } from './errors.ts';
import { busFault } from './kafka-errors.ts';
import { decodeProgress, type Progress } from './kafka-plan.ts';
import { readTopicId } from './kafka-topic-id.ts';

/** The first offset a partition still has, and one past its last. */
export type Range = { readonly low: number; readonly high: number };

/** What the cluster knows of topics and groups. Every function throws Transient or SetupError where kafkajs' errors say so. */
export type Cluster = {
  /** Asked anew each time: a topic deleted and created again has another. */
  topicId(topic: string): Promise<string>;
  /** How many partitions a topic has, remembered for a few minutes. */
  partitions(topic: string): Promise<number>;
  ranges(topic: string): Promise<Map<number, Range>>;
  /** What the group has done with each partition of the log `busId`; a partition without an entry is untouched. */
  progress(busId: string, topic: string, groupId: string): Promise<Map<number, Progress>>;
  /** The first record published at `atMs` or later; the end of the partition when there is none. */
  offsetsAt(topic: string, atMs: number): Promise<Map<number, number>>;
  close(): Promise<void>;
};

/** A topic that gets more partitions is noticed by producers after this; until then keys stay where they were. */
const PARTITIONS_MAX_AGE_MS = 60_000;
const RETRY_MS = [50, 200, 500, 1_000];

export function openCluster(kafka: Kafka): Cluster {
  const admin = kafka.admin();
  let connected: Promise<void> | undefined;
  const counts = new Map<string, { count: number; untilMs: number }>();

  const ask = <T>(doing: string, question: (admin: Admin) => Promise<T>): Promise<T> =>
    whileTransient(doing, async () => {
      connected ??= admin.connect();
      await connected.catch((error: unknown) => {
        connected = undefined;
        throw error;
      });
      return question(admin);
    });

  return {
    topicId: (topic) => whileTransient(`describing ${topic}`, () => readTopicId(kafka, topic)),
    async partitions(topic) {
      const known = counts.get(topic);
      if (known !== undefined && known.untilMs > performance.now()) return known.count;
      const { topics } = await ask(`describing ${topic}`, () => admin.fetchTopicMetadata({ topics: [topic] }));
      const count = topics[0]?.partitions.length ?? 0;
      counts.set(topic, { count, untilMs: performance.now() + PARTITIONS_MAX_AGE_MS });
      return count;
    },
    async ranges(topic) {
      const found = await ask(`reading offsets of ${topic}`, () => admin.fetchTopicOffsets(topic));
      return new Map(found.map(({ partition, low, high }) => [partition, { low: Number(low), high: Number(high) }]));
    },
    async progress(busId, topic, groupId) {
      const where = `group ${groupId}`;
      const found = await ask(`reading ${where}`, () => admin.fetchOffsets({ groupId, topics: [topic] }));
      const all = (found[0]?.partitions ?? []).map(({ partition, offset, metadata }) => {
        return [partition, decodeProgress(busId, Number(offset), metadata, where)] as const;
      });
      return new Map(all.filter((entry): entry is [number, Progress] => entry[1] !== undefined));
    },
    async offsetsAt(topic, atMs) {
      const found = await ask(`reading offsets of ${topic}`, () => admin.fetchTopicOffsetsByTimestamp(topic, atMs));
      return new Map(found.map(({ partition, offset }) => [partition, Number(offset)]));
    },
    close: () => admin.disconnect(),
  };
}

/** A coordinator that moves, or a leader that is elected, is back within a second or two: no reason to tell anybody. */
async function whileTransient<T>(doing: string, work: () => Promise<T>): Promise<T> {
  for (const waitMs of RETRY_MS) {
    try {
      return await work();
    } catch (error) {
      const fault = busFault(error, doing);
      if (!(fault instanceof Transient)) throw fault;
      await delay(waitMs);
    }
  }
  return work().catch((error: unknown) => {
    throw busFault(error, doing);
  });
}
