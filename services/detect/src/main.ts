/**
 * Detect as a process: KAFKA_…, and CLICKHOUSE_URL to notice probes that fall silent, which only the store can tell. Copies
 * share the partitions of the events; each follows the whole policy.
 */
import { optional, readConfig, text } from '@bintrail/runtime/config.ts';
import { runService } from '@bintrail/runtime/service.ts';
import { openStore, parseClickHouseUrl } from '@bintrail/runtime/store.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { createDetect } from './detect.ts';
import { watchSilence } from './silence-watch.ts';

await runService({ name: 'detect', opsPort: 7073, topic: TOPICS.events }, async ({ bus, log, metrics, shutdown }) => {
  const { url } = readConfig(process.env, { url: optional('CLICKHOUSE_URL', text) });
  const store = url === undefined ? undefined : openStore(parseClickHouseUrl(url));
  if (store !== undefined) {
    shutdown.onClose('store', store.close);
    const silence = watchSilence({ bus, store, log, metrics });
    shutdown.onClose('silence watch', silence.close);
    silence.done.catch(shutdown.fail);
  }
  const detect = await createDetect({ bus, log, metrics });
  return { ...detect, ready: () => Promise.all([detect.ready(), store?.ping()]) };
});
