/** Ingest as a process: KAFKA_… and CLICKHOUSE_URL. Copies share the partitions of the topics. */
import { readConfig, required, text } from '@bintrail/runtime/config.ts';
import { runService } from '@bintrail/runtime/service.ts';
import { openStore, parseClickHouseUrl } from '@bintrail/runtime/store.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { createIngest } from './ingest.ts';
import { migrateWhenUp } from './migrate-when-up.ts';

await runService({ name: 'ingest', opsPort: 7072, topic: TOPICS.events }, async ({ bus, log, metrics, shutdown }) => {
  const { url } = readConfig(process.env, { url: required('CLICKHOUSE_URL', text) });
  const options = parseClickHouseUrl(url);
  const store = openStore(options);
  shutdown.onClose('store', store.close);
  await migrateWhenUp(store, options.cluster, log);
  const ingest = createIngest({ bus, store, log, metrics });
  return { ...ingest, ready: () => Promise.all([ingest.ready(), store.ping()]) };
});
