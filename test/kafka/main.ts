/**
 * A Kafka to develop against: `npm run kafka`, or `npm run kafka -- --brokers 3 --port 9092 --data DIR`. Fetches it first
 * where it is not there yet. Ends with Ctrl-C; without --data nothing is kept.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { fetchKafka } from '../../infra/setup/kafka.mjs';
import { startKafka } from './broker.ts';

const { values } = parseArgs({
  options: {
    brokers: { type: 'string', default: '1' },
    /** Of the first broker; the others follow. */
    port: { type: 'string', default: '9092' },
    data: { type: 'string' },
  },
});
const brokers = values.brokers === '3' ? 3 : 1;
const firstPort = Number(values.port);
const folder = values.data ? resolve(values.data) : mkdtempSync(join(tmpdir(), 'bintrail-kafka-'));

try {
  await fetchKafka(fileURLToPath(new URL('../..', import.meta.url)), process.env).catch((cause: Error) => {
    throw new SetupError(cause.message, 'give Maven a way to its repository');
  });
  const ports = Array.from({ length: brokers }, (_, index) => firstPort + index);
  const cluster = await startKafka({ brokers, folder, ports });
  process.stdout.write(`Kafka is up, its data in ${folder}. Use it with:\n  KAFKA_BROKERS=${cluster.brokers}\n`);
  const alive = setInterval(() => {}, 2 ** 30);
  const stop = async (): Promise<void> => {
    clearInterval(alive);
    await cluster.stop();
    if (!values.data) rmSync(folder, { recursive: true, force: true });
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`${error.message}\n\nWhat to do: ${error.remedy}\n`);
  process.exitCode = 78;
}
