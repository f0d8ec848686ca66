/**
 * `npm run topics`: creates the topics Bintrail needs where they are missing, and says how those that are there differ.
 * KAFKA_PARTITIONS and KAFKA_RETENTION count for what is created; how to reach Kafka: the other KAFKA_… settings.
 */
import { durationMs, integer, readConfig, setting } from '@bintrail/runtime/config.ts';
import { SetupError, Transient } from '@bintrail/runtime/errors.ts';
import { readKafkaConnection } from '@bintrail/runtime/kafka-settings.ts';
import { ensureTopics } from '@bintrail/runtime/kafka-topics.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { RETENTION_MS, topicShapes } from '@bintrail/schemas/topics.ts';

try {
  const config = readConfig(process.env, {
    /** Each makes plans of its own, which cost the store; four divide evenly among 2 and 4 copies. */
    partitions: setting('KAFKA_PARTITIONS', integer({ min: 1, max: 1_000 }), 4),
    /** A week: longer than any outage somebody sleeps through, and what ClickHouse remembers of insert tokens. */
    retentionMs: setting('KAFKA_RETENTION', durationMs, RETENTION_MS),
  });
  const log = createLog({ level: 'warn', name: 'topics', human: process.stderr.isTTY === true });
  const { created, differences } = await ensureTopics(
    readKafkaConnection(process.env, 'topics'),
    topicShapes(config),
    log,
  );
  for (const topic of created) process.stdout.write(`${topic}: created\n`);
  for (const { topic, setting, found, wanted } of differences)
    process.stdout.write(`${topic}: ${setting} is ${found}, a new one would have ${wanted}; left as it is\n`);
  if (created.length + differences.length === 0) process.stdout.write('all topics are there\n');
} catch (error) {
  if (!(error instanceof SetupError || error instanceof Transient)) throw error;
  process.stderr.write(`${error.message}\n${error instanceof SetupError ? `\nWhat to do: ${error.remedy}\n` : ''}`);
  process.exitCode = 78;
}
