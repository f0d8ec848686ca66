/** A broker and an engine of a bench's own, and topics made anew for each run. */
import { randomBytes } from 'node:crypto';
import { openTestStore } from '@bintrail/ingest/store.fixture.ts';
import type { KafkaConnection } from '@bintrail/runtime/kafka-settings.ts';
import { ensureTopics } from '@bintrail/runtime/kafka-topics.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { topicShapes } from '@bintrail/schemas/topics.ts';
import { startKafka } from '../kafka/broker.ts';
import { tempFolder } from './temp-folder.ts';

export const log = createLog({ level: 'error', name: 'bench' });

export type KafkaPlace = {
  readonly store: Store;
  /** Settings for the services' processes. */
  readonly env: Readonly<Record<string, string>>;
  readonly pids: { readonly broker: number; readonly engine: number };
  /** Where the broker keeps its logs. */
  readonly folder: string;
  /** New topics under a prefix of their own. */
  newTopics(partitions: number): Promise<KafkaConnection>;
  close(): Promise<void>;
};

export async function openKafkaPlace(): Promise<KafkaPlace> {
  const folder = tempFolder('kafka');
  const [cluster, { store, engine, close }] = await Promise.all([startKafka({ brokers: 1, folder }), openTestStore()]);
  const { url, username, password, database } = engine;
  // Nobody waits for it: an engine that ends by itself ends the bench.
  engine.done.then(() => {});
  return {
    store,
    folder,
    env: {
      KAFKA_BROKERS: cluster.brokers,
      CLICKHOUSE_URL: `${url.replace('//', `//${username}:${password}@`)}/${database}`,
    },
    pids: { broker: cluster.nodes[0]!.pid()!, engine: engine.pid },
    async newTopics(partitions) {
      const prefix = `${randomBytes(4).toString('hex')}.`;
      const connection = { brokers: cluster.brokers.split(','), clientId: 'bench', prefix };
      await ensureTopics(connection, topicShapes({ partitions, retentionMs: 3_600_000 }), log);
      return connection;
    },
    async close() {
      await close();
      await cluster.stop();
    },
  };
}
