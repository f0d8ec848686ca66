import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { type KafkaCluster, startKafka } from './broker.ts';

/** A cluster of its own for one test, which may do with it what it likes. */
export async function clusterForTests(
  t: { after(clean: () => Promise<void>): void },
  brokers: 1 | 3,
  properties: Readonly<Record<string, string>> = {},
): Promise<{ cluster: KafkaCluster; brokers: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'bintrail-kafka-'));
  const cluster = await startKafka({ brokers, folder, properties });
  t.after(async () => {
    await cluster.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  return { cluster, brokers: cluster.brokers };
}

/** The broker KAFKA_BROKERS names, else one of our own for this file's tests, which is then named there. */
export async function kafkaForTests(): Promise<string> {
  process.env.KAFKA_BROKERS ||= (await clusterForTests({ after }, 1)).brokers;
  return process.env.KAFKA_BROKERS;
}
