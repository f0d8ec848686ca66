import { existsSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { COMPACTED } from '@bintrail/runtime/bus.contract.kit.ts';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { openKafkaBus } from '@bintrail/runtime/kafka-bus.ts';
import { createClient } from '@bintrail/runtime/kafka-client.ts';
import type { KafkaConnection } from '@bintrail/runtime/kafka-settings.ts';
import { createTopics } from '@bintrail/runtime/kafka-topics.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import type { Admin } from 'kafkajs';

const log = createLog({ level: process.env.BINTRAIL_LOG_LEVEL === 'debug' ? 'debug' : 'error', name: 'contract' });

/** A dead member is noticed in seconds here, and what was paused goes on sooner. */
export const QUICK = {
  sessionTimeoutMs: 1_000,
  heartbeatMs: 200,
  rebalanceTimeoutMs: 5_000,
  maxWaitMs: 50,
  stallMs: 30_000,
};

/** The topics of the contract's tests. Several partitions, so that keys have something to choose from. */
const TOPICS = ['t', 'u', 'kill', COMPACTED];
const PARTITIONS = 3;

/** A bus is a cluster and a prefix of names; each location of the contract's tests is a prefix. */
export function connectionOf(location: string): KafkaConnection {
  const brokers = (process.env.KAFKA_BROKERS ?? '').split(',');
  return { brokers, clientId: 'contract', prefix: `${basename(location)}.` };
}

/** Opens the adapter as the contract suite and its child processes need it: topics are made with the bus. */
export async function open(location: string): Promise<Bus> {
  const connection = connectionOf(location);
  const made = join(location, 'topics-made');
  if (!existsSync(made)) {
    const client = createClient(connection, log);
    const admin = client.kafka.admin();
    await admin.connect();
    await makeTopics(admin, location);
    await admin.disconnect();
    client.destroy();
    writeFileSync(made, '');
  }
  return openKafkaBus({ connection, log, timing: QUICK });
}

/** Makes those that are not there. */
export async function makeTopics(admin: Admin, location: string): Promise<void> {
  const { prefix } = connectionOf(location);
  const there = new Set(await admin.listTopics());
  const missing = TOPICS.filter((topic) => !there.has(prefix + topic));
  const topics = missing.map((topic) => ({
    topic: prefix + topic,
    numPartitions: PARTITIONS,
    configEntries: [
      { name: 'message.timestamp.type', value: 'LogAppendTime' },
      { name: 'max.message.bytes', value: String(4 * 1024 * 1024) },
      { name: 'cleanup.policy', value: topic === COMPACTED ? 'compact' : 'delete' },
    ],
  }));
  await createTopics(admin, topics);
}
