import { setTimeout as delay } from 'node:timers/promises';
import kafkajs, { type Admin, type ITopicConfig } from 'kafkajs';
import { createClient } from './kafka-client.ts';
import { busFault } from './kafka-errors.ts';
import type { KafkaConnection } from './kafka-settings.ts';
import type { Log } from './log.ts';

/** What a topic must be like. */
export type TopicShape = {
  readonly name: string;
  readonly partitions: number;
  /** Keeps the newest record of each key for ever; the others keep everything for `retentionMs`. */
  readonly compacted: boolean;
  readonly retentionMs: number;
  /** Default 4 MiB. */
  readonly maxMessageBytes?: number;
};

/** A topic that was there, and what of it is not as it should be. */
export type Difference = {
  readonly topic: string;
  readonly setting: string;
  readonly found: string;
  readonly wanted: string;
};

/**
 * A batch the probe splits at 512 KiB goes in with room to spare; a publish of several messages is one batch up to this,
 * which is what makes it whole or absent.
 */
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
/** So many replicas survive the loss of any one broker without losing what was acknowledged. */
const REPLICAS = 3;

/**
 * Creates the topics that are missing. What is there stays as it is: other retention may be meant, and more partitions
 * would move keys. @returns how many were created, and how those that were there differ
 * @throws SetupError, Transient
 */
export async function ensureTopics(
  connection: KafkaConnection,
  shapes: readonly TopicShape[],
  log: Log,
): Promise<{ created: string[]; differences: Difference[] }> {
  const client = createClient(connection, log);
  const admin = client.kafka.admin();
  try {
    await admin.connect();
    const { brokers } = await admin.describeCluster();
    const replicas = Math.min(REPLICAS, brokers.length);
    const there = new Set(await admin.listTopics());
    const named = shapes.map((shape) => ({ ...shape, name: connection.prefix + shape.name }));
    const missing = named.filter(({ name }) => !there.has(name));
    const topics = missing.map((shape) => ({
      topic: shape.name,
      numPartitions: shape.partitions,
      replicationFactor: replicas,
      configEntries: Object.entries(configOf(shape, replicas)).map(([name, value]) => ({ name, value })),
    }));
    await createTopics(admin, topics);
    const old = named.filter(({ name }) => there.has(name));
    return { created: missing.map(({ name }) => name), differences: await compare(admin, old, replicas) };
  } catch (error) {
    throw busFault(error, 'creating topics');
  } finally {
    await admin.disconnect().catch(() => {});
    client.destroy();
  }
}

const LEADERS_POLL_MS = 100;
const LEADERS_TRIES = 100;

/**
 * Creates topics, and waits until they can be used. kafkajs' own wait asks once and gives up when the broker it asks has not
 * heard of them yet.
 */
export async function createTopics(admin: Admin, topics: ITopicConfig[]): Promise<void> {
  if (topics.length === 0) return;
  await admin.createTopics({ topics, waitForLeaders: false });
  for (let triesLeft = LEADERS_TRIES; ; triesLeft -= 1) {
    try {
      await admin.fetchTopicMetadata({ topics: topics.map(({ topic }) => topic) });
      return;
    } catch (error) {
      if (triesLeft === 0) throw error;
      await delay(LEADERS_POLL_MS);
    }
  }
}

/**
 * Time stamps are the broker's: those of a node whose clock is wrong would make its records expire at once or never, and
 * ages of lag a guess.
 */
function configOf(
  { compacted, retentionMs, maxMessageBytes = MAX_BATCH_BYTES }: TopicShape,
  replicas: number,
): Record<string, string> {
  return {
    'cleanup.policy': compacted ? 'compact' : 'delete',
    'retention.ms': String(compacted ? -1 : retentionMs),
    'message.timestamp.type': 'LogAppendTime',
    'max.message.bytes': String(maxMessageBytes),
    'min.insync.replicas': String(replicas < 3 ? 1 : 2),
  };
}

async function compare(admin: Admin, shapes: readonly TopicShape[], replicas: number): Promise<Difference[]> {
  if (shapes.length === 0) return [];
  const { topics } = await admin.fetchTopicMetadata({ topics: shapes.map(({ name }) => name) });
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: shapes.map(({ name }) => ({ type: kafkajs.ConfigResourceTypes.TOPIC, name })),
  });
  return shapes.flatMap((shape) => {
    const entries = resources.find(({ resourceName }) => resourceName === shape.name)?.configEntries ?? [];
    const found: Record<string, string> = Object.fromEntries(
      entries.map(({ configName, configValue }) => [configName, configValue]),
    );
    found.partitions = String(topics.find(({ name }) => name === shape.name)?.partitions.length ?? 0);
    const wanted: Record<string, string> = { ...configOf(shape, replicas), partitions: String(shape.partitions) };
    return Object.entries(wanted)
      .filter(([setting, value]) => found[setting] !== value)
      .map(([setting, value]) => ({ topic: shape.name, setting, found: found[setting] ?? '', wanted: value }));
  });
}
