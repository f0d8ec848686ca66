import { basename } from 'node:path';
import { openKafkaBus } from '@bintrail/runtime/kafka-bus.ts';
import { ensureTopics } from '@bintrail/runtime/kafka-topics.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { topicShapes } from '@bintrail/schemas/topics.ts';
import type { DrilledBus } from '../src/faults/drilled-bus.ts';
import { connectionOf } from './contract.adapter.ts';

const MIB = 1024 * 1024;
const log = createLog({ level: process.env.BINTRAIL_LOG_LEVEL === 'debug' ? 'debug' : 'error', name: 'drill' });

/** The broker of KAFKA_BROKERS, its limits raised so that it takes what no topic of ours would. */
export const kafka: DrilledBus = {
  name: 'Kafka',
  async open(location) {
    const connection = { ...connectionOf(location), clientId: `drill-${basename(location)}` };
    const shapes = topicShapes({ partitions: 4, retentionMs: 3_600_000 });
    const raised = shapes.map((shape) => ({ ...shape, maxMessageBytes: 24 * MIB }));
    await ensureTopics(connection, raised, log);
    return openKafkaBus({ connection, log });
  },
  oversizedBytes: 17 * MIB,
};
