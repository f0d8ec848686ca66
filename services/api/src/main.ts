/**
 * The api as a process: KAFKA_…, CLICKHOUSE_URL, BINTRAIL_HOST and BINTRAIL_PORT, and either BINTRAIL_ADMIN_TOKEN_HASH or
 * BINTRAIL_HOME, where the first token goes. One copy alone writes approvals, actions and tokens; any others have
 * BINTRAIL_API_WRITER, its address, and only read.
 */
import { mkdirSync } from 'node:fs';
import { migrateWhenUp } from '@bintrail/ingest/migrate-when-up.ts';
import { httpUrl, optional, port, readConfig, required, setting, text } from '@bintrail/runtime/config.ts';
import { runService } from '@bintrail/runtime/service.ts';
import { openStore, parseClickHouseUrl } from '@bintrail/runtime/store.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import type { Status } from './deps.ts';
import { listen } from './listen.ts';
import { openApi } from './open-api.ts';

const status = (): Status => ({
  mode: 'live',
  hooks: null,
  versions: { bintrail: '0.1.0', node: process.versions.node },
  parts: {},
});

await runService({ name: 'api', opsPort: 7071, topic: TOPICS.policy }, async ({ bus, log, metrics, shutdown }) => {
  const config = readConfig(process.env, {
    url: required('CLICKHOUSE_URL', text),
    host: setting('BINTRAIL_HOST', text, '127.0.0.1'),
    port: setting('BINTRAIL_PORT', port, 7070),
    homeDir: setting('BINTRAIL_HOME', text, '.bintrail'),
    writer: optional('BINTRAIL_API_WRITER', httpUrl),
    adminTokenHash: optional('BINTRAIL_ADMIN_TOKEN_HASH', text),
  });
  const options = parseClickHouseUrl(config.url);
  const store = openStore(options);
  shutdown.onClose('store', store.close);
  await migrateWhenUp(store, options.cluster, log);
  const { adminTokenHash, homeDir } = config;
  if (adminTokenHash === undefined) mkdirSync(homeDir, { recursive: true, mode: 0o700 });
  // Told to whoever asks: without a name and password that may stand in it.
  const writerUrl = config.writer && `${config.writer.origin}${config.writer.pathname.replace(/\/+$/, '')}`;
  const api = await openApi({
    ...{ store, bus, log, metrics, homeDir, adminTokenHash, writerUrl, status },
    closing: shutdown.signal,
  });
  shutdown.onClose('api', api.close);
  const server = await listen(api.app, config);
  log.info({ url: server.url }, 'the api listens');
  return {
    done: api.done,
    close: server.close,
    ready: () => store.ping(),
    status: () => ({ url: server.url, changes: writerUrl ?? 'here' }),
  };
});
