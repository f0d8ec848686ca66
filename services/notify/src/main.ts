/**
 * Notify as a process: KAFKA_…, SLACK_WEBHOOK_URL, CLICKHOUSE_URL for the numbers in a message, and for its commands
 * BINTRAIL_API_URL and BINTRAIL_TOKEN_FILE. Copies share the partitions of the findings.
 */
import { findingCounts } from '@bintrail/api/finding-counts.ts';
import { httpUrl, optional, readConfig, setting, text } from '@bintrail/runtime/config.ts';
import { runService } from '@bintrail/runtime/service.ts';
import { openStore, parseClickHouseUrl } from '@bintrail/runtime/store.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { createNotify } from './notify.ts';

await runService({ name: 'notify', opsPort: 7074, topic: TOPICS.findings }, async ({ bus, log, metrics, shutdown }) => {
  const config = readConfig(process.env, {
    webhookUrl: optional('SLACK_WEBHOOK_URL', text),
    clickHouseUrl: optional('CLICKHOUSE_URL', text),
    apiUrl: setting('BINTRAIL_API_URL', httpUrl, new URL('http://127.0.0.1:7070')),
    tokenPath: setting('BINTRAIL_TOKEN_FILE', text, '.bintrail/token'),
  });
  const access = { apiUrl: config.apiUrl.href, tokenPath: config.tokenPath, webhookUrl: config.webhookUrl };
  const store = config.clickHouseUrl ? openStore(parseClickHouseUrl(config.clickHouseUrl)) : undefined;
  if (store !== undefined) shutdown.onClose('store', store.close);
  return createNotify({
    bus,
    log,
    metrics,
    signal: shutdown.signal,
    ...access,
    ...(store && { counts: findingCounts(store) }),
  });
});
