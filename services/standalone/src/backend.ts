/**
 * Everything that needs no privileges: ingest, detect, notify and the api. Started as root it loads its code, which may
 * lie where only root can read, and gives up root for good before it opens anything.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Status } from '@bintrail/api/deps.ts';
import { findingCounts } from '@bintrail/api/finding-counts.ts';
import { listen } from '@bintrail/api/listen.ts';
import { openApi } from '@bintrail/api/open-api.ts';
import { createDetect } from '@bintrail/detect/detect.ts';
import { watchSilence } from '@bintrail/detect/silence-watch.ts';
import { createIngest } from '@bintrail/ingest/ingest.ts';
import { migrateWhenUp } from '@bintrail/ingest/migrate-when-up.ts';
import { createNotify } from '@bintrail/notify/notify.ts';
import type { Bus, Message } from '@bintrail/runtime/bus.ts';
import { optional, port, readConfig, setting, text } from '@bintrail/runtime/config.ts';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { readKafkaConnection } from '@bintrail/runtime/kafka-settings.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics } from '@bintrail/runtime/metrics.ts';
import { dropPrivileges } from '@bintrail/runtime/privileges.ts';
import { openMeteredBus } from '@bintrail/runtime/service.ts';
import { createShutdown } from '@bintrail/runtime/shutdown.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { openStore } from '@bintrail/runtime/store.ts';
import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import { COMPACTED_TOPICS, TOPICS } from '@bintrail/schemas/topics.ts';
import { findingLine } from './finding-line.ts';
import { type BackendStart, type FromBackend, type ToBackend, usesKafka } from './messages.ts';
import { type HeardOf, partStates } from './part-states.ts';
import { startReplay } from './replay.ts';
import { unpackRecording } from './replay-recording.ts';

const SAMPLE = new URL('../sample/sample.cbor.zst', import.meta.url);

const log = createLog({
  level: 'warn',
  name: 'backend',
  human: process.stderr.isTTY === true,
});
const shutdown = createShutdown({ log, boundMs: 15_000 });
let probe: HeardOf | undefined;

process.on('disconnect', () => shutdown.close());
process.on('message', (message: ToBackend) => {
  if (message.kind === 'probe') probe = { hooks: message.hooks, uncounted: message.uncounted, atMs: performance.now() };
});

try {
  await start(await startMessage());
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`\n${error.message}\n\nWhat to do: ${error.remedy}\n`);
  process.exit(78);
}

async function startMessage(): Promise<BackendStart> {
  for (;;) {
    const [message] = (await once(process, 'message')) as [ToBackend];
    if (message.kind === 'start') return message;
  }
}

async function start({ mode, store: storeOptions, homeDir, tokenPath, user }: BackendStart): Promise<void> {
  const recording = mode === 'replay' ? unpackRecording(readFileSync(SAMPLE)) : undefined;
  if (user !== undefined) dropPrivileges(user);
  const config = readConfig(process.env, {
    host: setting('BINTRAIL_HOST', text, '127.0.0.1'),
    port: setting('BINTRAIL_PORT', port, 7070),
    webhookUrl: optional('SLACK_WEBHOOK_URL', text),
    adminTokenHash: optional('BINTRAIL_ADMIN_TOKEN_HASH', text),
  });
  const store = openStore(storeOptions);
  shutdown.onClose('store', store.close);
  await migrateWhenUp(store, storeOptions.cluster, log);
  const metrics = createMetrics();
  const bus = usesKafka(mode, process.env)
    ? openMeteredBus(readKafkaConnection(process.env, 'bintrail'), log, metrics)
    : openSqliteBus({ path: join(homeDir, 'bus.db'), compactedTopics: COMPACTED_TOPICS });
  shutdown.onClose('bus', bus.close);
  const common = { bus, log, metrics };

  const ingest = createIngest({ ...common, store });
  shutdown.onClose('ingest', ingest.close);
  const api = await openApi({
    ...{ ...common, store, homeDir, closing: shutdown.signal },
    adminTokenHash: config.adminTokenHash,
    status: () => status(),
  });
  shutdown.onClose('api', api.close);
  const server = await listen(api.app, config);
  shutdown.onClose('http', server.close);
  // The policy is complete on the bus once the api is open: detect and notify judge with all of it.
  const detect = await createDetect(common);
  shutdown.onClose('detect', detect.close);
  const silence = watchSilence({ ...common, store });
  shutdown.onClose('silence watch', silence.close);
  const notify = await createNotify({
    ...{ ...common, webhookUrl: config.webhookUrl, apiUrl: server.url, tokenPath },
    counts: findingCounts(store),
  });
  shutdown.onClose('notify', notify.close);
  for (const part of [ingest, detect, silence, notify]) part.done.catch(shutdown.fail);

  const status = (): Status => ({
    mode,
    hooks: probe?.hooks ?? null,
    versions: { bintrail: '0.1.0', node: process.versions.node },
    parts: partStates({ mode, probe, ingest, detect, notify, nowMs: performance.now() }),
  });
  await announceFindings(bus);
  const tokenNote = api.firstToken?.state === 'lost' ? api.firstToken.remedy : '';
  tell({ kind: 'ready', url: server.url, hasToken: api.firstToken !== null, tokenNote });
  if (recording !== undefined) play(bus, recording);
}

function play(bus: Bus, recording: readonly Batch[]): void {
  const publish = (message: Message) => bus.publish(TOPICS.events, [message]);
  const replay = startReplay({ recording, publish, playMs: 20_000, heartbeatEveryMs: 5_000, clock: Date.now });
  shutdown.onClose('replay', replay.close);
  replay.done.catch(shutdown.fail);
  replay.played.then((rows) => tell({ kind: 'replayed', rows }));
}

/** One line per finding that is new from here on. */
async function announceFindings(bus: Bus): Promise<void> {
  const sinceMs = Date.now();
  const follower = await bus.follow(TOPICS.findings, (records) => {
    for (const { publishedAtMs, value } of records) {
      const line = publishedAtMs < sinceMs ? undefined : findingLine(value);
      if (line !== undefined) tell({ kind: 'finding', line });
    }
  });
  shutdown.onClose('finding lines', follower.close);
}

function tell(message: FromBackend): void {
  if (process.connected) process.send?.(message);
}
