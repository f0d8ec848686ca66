/**
 * Bintrail on one machine: starts the embedded store, the backend and the probe, tells where to look, and ends them in
 * the order the data flows. Holds no data and opens no port itself.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { optional, readConfig, text } from '@bintrail/runtime/config.ts';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { asUser, lookupUser, type User } from '@bintrail/runtime/privileges.ts';
import { createShutdown } from '@bintrail/runtime/shutdown.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { parseClickHouseUrl, type StoreOptions } from '@bintrail/runtime/store.ts';
import { COMPACTED_TOPICS } from '@bintrail/schemas/topics.ts';
import { banner } from './banner.ts';
import { ChildEnded, firstMessage, startChild } from './child.ts';
import { startClickHouse } from './clickhouse-host.ts';
import { lockHome, prepareHome } from './home.ts';
import type { FromBackend, FromProbe, ToBackend } from './messages.ts';

const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url));
const PROBE = new URL('../../probe/src/main.ts', import.meta.url);
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
  // A child that ended has said why itself.
  if (error instanceof ChildEnded) shutdown.close(error.exitCode);
  else if (error instanceof SetupError) {
    process.stderr.write(`\n${error.message}\n\nWhat to do: ${error.remedy}\n`);
    shutdown.close(EXIT_SETUP);
  } else shutdown.fail(error);
}

async function start(): Promise<void> {
  const config = readConfig(process.env, {
    homeDir: optional('BINTRAIL_HOME', text),
    clickHouseUrl: optional('CLICKHOUSE_URL', text),
    webhookUrl: optional('SLACK_WEBHOOK_URL', text),
  });
  const server = config.clickHouseUrl === undefined ? undefined : parseClickHouseUrl(config.clickHouseUrl);
  const user = unprivilegedUser();
  const home = prepareHome(config.homeDir, CHECKOUT, user);
  shutdown.onClose('home', home.release);
  const lock = lockHome(home.path);
  shutdown.onClose('lock', lock.release);
  await createBus(home.reachablePath, user);

  const env = { ...process.env, BINTRAIL_HOME: home.reachablePath };
  const backend = startChild<ToBackend, FromBackend>('the backend', BACKEND, env);
  const backendReady = firstMessage(backend, 'ready');
  const store = server ?? (await startEngine(home.reachablePath, user));
  // Closed in reverse: the probe first, so that what it saw last is stored, then the backend, then the engine.
  shutdown.onClose('backend', backend.stop);
  const tokenPath = join(home.path, 'token');
  backend.send({ kind: 'start', store, homeDir: home.reachablePath, tokenPath, user });
  const probe = startChild<never, FromProbe>('the probe', PROBE, withoutSecrets(env));
  shutdown.onClose('probe', probe.stop);
  const [{ url, hasToken, tokenNote }, { hooks, marks }] = await Promise.all([
    backendReady,
    firstMessage(probe, 'ready'),
  ]);
  backend.send({ kind: 'probe', hooks });
  const storeName = server ? `ClickHouse at ${new URL(server.url).host}` : 'embedded ClickHouse';
  const slack = config.webhookUrl !== undefined;
  const token = { tokenPath: hasToken ? tokenPath : null, tokenNote };
  process.stdout.write(banner({ url, hooks, marks, ...token, homeDir: home.path, store: storeName, slack }));
  backend.onMessage((message) => {
    if (message.kind === 'finding') process.stdout.write(`${message.line}\n`);
  });
  for (const part of [backend, probe]) part.done.catch(shutdown.fail);
}

/** Who everything but the probe runs as; undefined when this process is not root and stays who it is. */
function unprivilegedUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const user = lookupUser('bintrail');
  if (user !== undefined) return user;
  throw new SetupError(
    'the system user bintrail is missing',
    'run npm start, which creates it; or: useradd --system bintrail',
  );
}

/** Made here as the unprivileged user, so that the files are his before the probe opens them as root. */
async function createBus(homeDir: string, user: User | undefined): Promise<void> {
  const open = () => openSqliteBus({ path: join(homeDir, 'bus.db'), compactedTopics: COMPACTED_TOPICS });
  const bus = user === undefined ? open() : asUser(user, open);
  await bus.close();
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
