import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { startKafka } from './broker.ts';

/** The broker KAFKA_BROKERS names, else one of our own for this file's tests, which is then named there. */
export async function kafkaForTests(): Promise<string> {
  if (process.env.KAFKA_BROKERS) return process.env.KAFKA_BROKERS;
  const folder = mkdtempSync(join(tmpdir(), 'bintrail-kafka-'));
  const cluster = await startKafka({ brokers: 1, folder });
  after(async () => {
    await cluster.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  process.env.KAFKA_BROKERS = cluster.brokers;
  return cluster.brokers;
}
