/**
 * Bintrail on one machine: starts the embedded store, the backend and the probe, tells where to look, and ends them in
 * the order the data flows. Holds no data and opens no port itself.
 */

import { chmodSync, existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CENSUS_FOLDER } from '@bintrail/probe/census.ts';
import { containerSockets, DEFAULT_SOCKETS } from '@bintrail/probe/containers/sockets.ts';
import { ownFolders, PROBE_MAIN, PROBE_NODE_OPTIONS, probeCommand, probeEnvironment } from '@bintrail/probe/launch.ts';
import { putFirst } from '@bintrail/probe/precedence.ts';
import { optional, readConfig, setting, text } from '@bintrail/runtime/config.ts';
import { SetupError, Transient } from '@bintrail/runtime/errors.ts';
import { readKafkaConnection } from '@bintrail/runtime/kafka-settings.ts';
import { ensureTopics } from '@bintrail/runtime/kafka-topics.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { asUser, lookupUser, type User } from '@bintrail/runtime/privileges.ts';
import { createShutdown } from '@bintrail/runtime/shutdown.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { parseClickHouseUrl, type StoreOptions } from '@bintrail/runtime/store.ts';
import { COMPACTED_TOPICS, RETENTION_MS, topicShapes } from '@bintrail/schemas/topics.ts';
import { banner, type Facts, REPLAY_MARK } from './banner.ts';
import { type Child, ChildEnded, firstMessage, startChild } from './child.ts';
import { startClickHouse } from './clickhouse-host.ts';
import { takeHome } from './home.ts';
import { type FromBackend, type FromProbe, type Mode, type ToBackend, usesKafka } from './messages.ts';
import { forbidNewPrivileges } from './no-new-privileges.ts';

const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url));
const BACKEND = new URL('./backend.ts', import.meta.url);
/** sysexits.h EX_CONFIG: something about the host or the settings must change first. */
const EXIT_SETUP = 78;

// Whatever this process and its children create is theirs alone.
process.umask(0o077);

const log = createLog({ level: 'info', name: 'bintrail', human: process.stderr.isTTY === true });
const shutdown = createShutdown({ log, boundMs: 60_000 });

try {
  await start();
} catch (error) {
  if (error instanceof ChildEnded && error.hasSaidWhy) shutdown.close(error.exitCode);
  else if (error instanceof SetupError) {
    process.stderr.write(`\n${error.message}\n\nWhat to do: ${error.remedy}\n`);
    shutdown.close(EXIT_SETUP);
  } else shutdown.fail(error);
}

async function start(): Promise<void> {
  const mode = readMode(process.argv.slice(2));
  const config = readConfig(process.env, {
    homeDir: optional('BINTRAIL_HOME', text),
    clickHouseUrl: optional('CLICKHOUSE_URL', text),
    webhookUrl: optional('SLACK_WEBHOOK_URL', text),
    censusFolder: setting('BINTRAIL_CENSUS', text, CENSUS_FOLDER),
    sockets: setting('BINTRAIL_CONTAINER_SOCKETS', containerSockets, DEFAULT_SOCKETS),
  });
  const server = readServer(mode, config.clickHouseUrl);
  const user = systemUser('bintrail');
  const probeUser = mode === 'live' ? systemUser('bintrail-probe') : undefined;
  const home = takeHome(homeOf(mode, config.homeDir), CHECKOUT, user);
  shutdown.onClose('home', home.release);
  if (usesKafka(mode, process.env)) await createTopics();
  else await createBus(home.reachablePath, user);
  if (probeUser !== undefined) shareFiles(home.reachablePath);

  // Before the first child: all of them inherit it.
  forbidNewPrivileges();
  const env = { ...process.env, BINTRAIL_HOME: home.reachablePath };
  const backend: Backend = startChild('the backend', BACKEND, env);
  const backendReady = firstMessage(backend, 'ready');
  const store = server ?? (await startEngine(home.reachablePath, user));
  // Closed in reverse: the probe first, so that what it saw last is stored, then the backend, then the engine.
  shutdown.onClose('backend', backend.stop);
  const tokenPath = join(home.path, 'token');
  backend.send({ kind: 'start', mode, store, homeDir: home.reachablePath, tokenPath, user });
  const asProbe = probeUser && user && { uid: probeUser.uid, gid: user.gid };
  if (asProbe !== undefined) ownFolders(asProbe, config.censusFolder);
  const command = asProbe === undefined ? [] : probeCommand(asProbe, config.sockets);
  const probeReady = mode === 'live' ? startProbe(backend, withoutSecrets(env), command) : undefined;
  const [{ url, hasToken, tokenNote }, probe] = await Promise.all([backendReady, probeReady]);
  const storeName = server ? `ClickHouse at ${new URL(server.url).host}` : 'embedded ClickHouse';
  const slack = config.webhookUrl !== undefined;
  const token = { tokenPath: hasToken ? tokenPath : null, tokenNote };
  process.stdout.write(banner({ url, probe, ...token, homeDir: home.path, store: storeName, slack }));
  backend.onMessage((message) => tellOperator(mode, message));
  backend.done.catch(shutdown.fail);
}

type Backend = Child<ToBackend, FromBackend>;

function readMode(args: readonly string[]): Mode {
  const [unknown] = args.filter((arg) => arg !== '--replay');
  if (unknown === undefined) return args.length > 0 ? 'replay' : 'live';
  throw new SetupError(`unknown argument: ${unknown}`, 'npm start takes none, or: npm start -- --replay');
}

/** A replay lives beside the data of this host, never in it. */
function homeOf(mode: Mode, homeDir: string | undefined): string | undefined {
  return mode === 'live' ? homeDir : `${resolve(homeDir ?? join(CHECKOUT, '.bintrail'))}-replay`;
}

/** The ClickHouse server to use; undefined for the embedded one. */
function readServer(mode: Mode, clickHouseUrl: string | undefined): StoreOptions | undefined {
  const server = clickHouseUrl === undefined ? undefined : parseClickHouseUrl(clickHouseUrl);
  if (server === undefined && process.platform !== 'linux') {
    const remedy = 'set CLICKHOUSE_URL to a ClickHouse server, as http://user:password@host:8123/bintrail_replay';
    throw new SetupError('the embedded ClickHouse runs on Linux only', remedy);
  }
  if (server === undefined || mode === 'live' || server.database.endsWith('_replay')) return server;
  throw new SetupError(
    `a replay is kept apart from real events, and CLICKHOUSE_URL names the database ${server.database}`,
    'create a database bintrail_replay, and name it in CLICKHOUSE_URL; any name that ends in _replay will do',
  );
}

async function startProbe(
  backend: Backend,
  env: NodeJS.ProcessEnv,
  command: readonly string[],
): Promise<Facts['probe']> {
  // Not at its usual port: it may run as a service beside this.
  const probeEnv = probeEnvironment({ BINTRAIL_OPS_PORT: '0', ...env });
  const how = { nodeOptions: PROBE_NODE_OPTIONS, command };
  const probe = startChild<never, FromProbe>('the probe', PROBE_MAIN, probeEnv, how);
  if (probe.pid !== undefined) putFirst(probe.pid);
  shutdown.onClose('probe', probe.stop);
  const { hooks, marks, uncounted } = await firstMessage(probe, 'ready').catch((error: unknown) => {
    const cannotRunHere = error instanceof ChildEnded && error.exitCode === EXIT_SETUP;
    if (cannotRunHere) process.stderr.write('\nnpm start -- --replay shows it on a recorded sample\n');
    throw error;
  });
  probe.done.catch(shutdown.fail);
  backend.send({ kind: 'probe', hooks, uncounted });
  probe.onMessage(({ kind }) => kind === 'alive' && backend.send({ kind: 'probe', hooks, uncounted }));
  return { hooks, marks };
}

function tellOperator(mode: Mode, message: FromBackend): void {
  const mark = mode === 'replay' ? `${REPLAY_MARK} ` : '';
  if (message.kind === 'finding') process.stdout.write(`${mark}${message.line}\n`);
  if (message.kind === 'replayed') {
    process.stdout.write(`${mark}All ${message.rows} recorded events are played. The API answers until Ctrl-C.\n`);
  }
}

/** Who a part runs as; undefined when this process is not root and all stay who it is. */
function systemUser(name: string): User | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const user = lookupUser(name);
  if (user !== undefined) return user;
  throw new SetupError(
    `the system user ${name} is missing`,
    `run npm start, which creates it; or: useradd --system ${name}`,
  );
}

/** The files through which probe and backend meet: the probe is of the backend's group, and makes new ones beside them. */
function shareFiles(homeDir: string): void {
  for (const name of ['bus.db', 'outbox.db'].flatMap((file) =>
    ['', '-wake', '-wal', '-shm'].map((end) => file + end),
  )) {
    const path = join(homeDir, name);
    if (existsSync(path)) chmodSync(path, 0o660);
  }
}

/** Made here as the unprivileged user, so that the files are his before the probe opens them. */
async function createBus(homeDir: string, user: User | undefined): Promise<void> {
  const open = () => openSqliteBus({ path: join(homeDir, 'bus.db'), compactedTopics: COMPACTED_TOPICS });
  const bus = user === undefined ? open() : asUser(user, open);
  await bus.close();
}

/** What is missing is made as for a fleet of one; `npm run topics` beforehand makes it otherwise. */
async function createTopics(): Promise<void> {
  const shapes = topicShapes({ partitions: 1, retentionMs: RETENTION_MS });
  await ensureTopics(readKafkaConnection(process.env, 'bintrail'), shapes, log).catch((cause: unknown) => {
    if (!(cause instanceof Transient)) throw cause;
    throw new SetupError(cause.message, 'check KAFKA_BROKERS');
  });
}

async function startEngine(homeDir: string, user: User | undefined): Promise<StoreOptions> {
  const engine = await startClickHouse({ homeDir, ...user, log: (line) => log.debug({ part: 'clickhouse' }, line) });
  shutdown.onClose('clickhouse', engine.stop);
  engine.done.catch(shutdown.fail);
  const { url, username, password, database } = engine;
  return { url, username, password, database };
}

/** The probe needs no way to the store or to Slack. */
function withoutSecrets({ CLICKHOUSE_URL: _, SLACK_WEBHOOK_URL: __, ...env }: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return env;
}
