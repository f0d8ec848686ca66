/**
 * Notify as a process: KAFKA_…, SLACK_WEBHOOK_URL, CLICKHOUSE_URL for the numbers in a message, and for its commands
 * BINTRAIL_API_URL and BINTRAIL_TOKEN_FILE. One copy: it alone writes the deliveries, and reads them only at its start.
 */
import { findingCounts } from '@bintrail/api/finding-counts.ts';
import { httpUrl, optional, readConfig, setting, text } from '@bintrail/runtime/config.ts';
import { type Host, runService } from '@bintrail/runtime/service.ts';
import { openStore, parseClickHouseUrl } from '@bintrail/runtime/store.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { createNotify } from './notify.ts';

await runService({ name: 'notify', opsPort: 7074, topic: TOPICS.findings }, async (host) => {
  const config = readConfig(process.env, {
    webhookUrl: optional('SLACK_WEBHOOK_URL', text),
    clickHouseUrl: optional('CLICKHOUSE_URL', text),
    apiUrl: setting('BINTRAIL_API_URL', httpUrl, new URL('http://127.0.0.1:7070')),
    tokenPath: setting('BINTRAIL_TOKEN_FILE', text, '.bintrail/token'),
  });
  const { bus, log, metrics } = host;
  const access = { apiUrl: config.apiUrl.href, tokenPath: config.tokenPath, webhookUrl: config.webhookUrl };
  return createNotify({
    bus,
    log,
    metrics,
    ...access,
    ...(config.clickHouseUrl && counted(config.clickHouseUrl, host)),
  });
});

function counted(url: string, { shutdown }: Host) {
  const store = openStore(parseClickHouseUrl(url));
  shutdown.onClose('store', store.close);
  return { counts: findingCounts(store) };
}
