import { setTimeout as delay } from 'node:timers/promises';
import type { Admin, Kafka } from 'kafkajs';
import { Transient } from './errors.ts';
import { busFault } from './kafka-errors.ts';
import { decodeProgress, type Progress } from './kafka-plan.ts';
import { describeTopic } from './kafka-topic-id.ts';

/** The first offset a partition still has, and one past its last. */
export type Range = { readonly low: number; readonly high: number };

/** What the cluster knows of topics and groups. Every function throws Transient or SetupError where kafkajs' errors say so. */
export type Cluster = {
  /** Asked anew each time: a topic deleted and created again has another. */
  topicId(topic: string): Promise<string>;
  /** How many partitions a topic has, remembered for a few minutes. */
  partitions(topic: string): Promise<number>;
  ranges(topic: string): Promise<Map<number, Range>>;
  /** What the group has done with these partitions of the log `busId`; one without an entry is untouched. */
  progress(busId: string, topic: string, groupId: string, partitions: Iterable<number>): Promise<Map<number, Progress>>;
  /** The first record published at `atMs` or later; the end of the partition when there is none. */
  offsetsAt(topic: string, atMs: number): Promise<Map<number, number>>;
  close(): Promise<void>;
};

/** A topic that gets more partitions is noticed by producers after this; until then keys stay where they were. */
const PARTITIONS_MAX_AGE_MS = 60_000;
const RETRY_MS = [50, 200, 500, 1_000];

export function openCluster(kafka: Kafka): Cluster {
  const ask = createAsk(kafka.admin());
  /** A promise, so that all who ask at once wait for one answer; one that failed is forgotten. */
  const counts = new Map<string, { count: Promise<number>; untilMs: number }>();

  return {
    topicId: async (topic) => (await whileTransient(`describing ${topic}`, () => describeTopic(kafka, topic))).id,
    async partitions(topic) {
      const known = counts.get(topic);
      if (known !== undefined && known.untilMs > performance.now()) return known.count;
      const described = whileTransient(`describing ${topic}`, () => describeTopic(kafka, topic));
      const asked = {
        count: described.then(({ partitions }) => partitions),
        untilMs: performance.now() + PARTITIONS_MAX_AGE_MS,
      };
      counts.set(topic, asked);
      asked.count.catch(() => {
        if (counts.get(topic) === asked) counts.delete(topic);
      });
      return asked.count;
    },
    async ranges(topic) {
      const found = await ask(`reading offsets of ${topic}`, (admin) => admin.fetchTopicOffsets(topic));
      return new Map(found.map(({ partition, low, high }) => [partition, { low: Number(low), high: Number(high) }]));
    },
    async progress(busId, topic, groupId, partitions) {
      const where = `group ${groupId}`;
      const [found] = await ask(`reading ${where}`, async (admin) => {
        const answer = await admin.fetchOffsets({ groupId, topics: [topic] });
        const told = new Set(answer[0]?.partitions.map(({ partition }) => partition));
        // What is left out must never look like what nobody has read.
        for (const partition of partitions)
          if (!told.has(partition))
            throw new Transient(`Kafka says nothing of partition ${partition}, reading ${where}`);
        return answer;
      });
      const all = (found?.partitions ?? []).map(({ partition, offset, metadata }) => {
        return [partition, decodeProgress(busId, Number(offset), metadata, where)] as const;
      });
      return new Map(all.filter((entry): entry is [number, Progress] => entry[1] !== undefined));
    },
    async offsetsAt(topic, atMs) {
      const found = await ask(`reading offsets of ${topic}`, (admin) =>
        admin.fetchTopicOffsetsByTimestamp(topic, atMs),
      );
      return new Map(found.map(({ partition, offset }) => [partition, Number(offset)]));
    },
    close: ask.close,
  };
}

type Ask = {
  <T>(doing: string, question: (admin: Admin) => Promise<T>): Promise<T>;
  close(): Promise<void>;
};

/**
 * One question at a time: kafkajs keeps one list of topics for all of an admin's questions and replaces it within one, so
 * that another asked meanwhile finds no partitions, and would take a group for one that has read nothing.
 */
function createAsk(admin: Admin): Ask {
  let connected: Promise<void> | undefined;
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work);
    last = turn.catch(() => {});
    return turn;
  };
  const ask = <T>(doing: string, question: (admin: Admin) => Promise<T>): Promise<T> =>
    whileTransient(doing, () =>
      inTurn(async () => {
        connected ??= admin.connect();
        await connected.catch((error: unknown) => {
          connected = undefined;
          throw error;
        });
        return question(admin);
      }),
    );
  return Object.assign(ask, { close: () => admin.disconnect() });
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
