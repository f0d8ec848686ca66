import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { asUser, type User } from '@bintrail/runtime/privileges.ts';
import { openStore } from '@bintrail/runtime/store.ts';
import { engineConfig, memoryLimitBytes } from './clickhouse-config.ts';

export type ClickHouseOptions = {
  /** $BINTRAIL_HOME, an absolute path; it belongs to the user of `uid`, who can reach it. */
  readonly homeDir: string;
  /** Who the engine runs as; needed when, and only looked at when, this process is root. */
  readonly uid?: number;
  readonly gid?: number;
  /** Takes each line the host or the engine prints. What the engine logs goes to `clickhouse/engine.log`. */
  readonly log: (line: string) => void;
};

export type ClickHouse = {
  /** `http://127.0.0.1:<port>`; the port is another one after each start. */
  readonly url: string;
  readonly username: string;
  /** New at each start, and until the next one also in `$BINTRAIL_HOME/clickhouse/password` (0600). */
  readonly password: string;
  readonly database: string;
  readonly pid: number;
  /** Resolves after `stop()`; rejects when the engine ended by itself. */
  readonly done: Promise<void>;
  stop(): Promise<void>;
};

const HOST = fileURLToPath(new URL('../../../infra/clickhouse-host/build/clickhouse-host', import.meta.url));

// 10 s for the data lock, and what a slow disk needs to list the parts of a full store.
const START_TIMEOUT_MS = 60_000;
const START_POLL_MS = 10;
// SIGTERM ends the engine at once; this is for a process the kernel holds in a disk wait.
const STOP_TIMEOUT_MS = 10_000;
const PRINTED_TAIL = 4096;

/**
 * Starts the embedded ClickHouse on a free port of 127.0.0.1 and creates the database. Everything the engine needs
 * after it gave up root lies in `$BINTRAIL_HOME/clickhouse`.
 * @throws SetupError when a part is missing or the engine refuses to start, with the engine's own words.
 */
export async function startClickHouse(options: ClickHouseOptions): Promise<ClickHouse> {
  const user = engineUser(options);
  const library = engineLibrary();
  if (!existsSync(HOST)) {
    const command = `cc -O2 -o ${HOST} ${HOST.replace('build/clickhouse-host', 'host.c')} -ldl`;
    throw new SetupError('the host of the embedded ClickHouse is not built', `mkdir -p ${dirname(HOST)} && ${command}`);
  }
  const workDir = join(options.homeDir, 'clickhouse');
  const password = randomBytes(32).toString('hex');
  const configName = prepare(workDir, password, user);
  const port = await freePort();
  const args = [library, workDir, configName, port, user.uid, user.gid, process.pid].map(String);
  const child = spawn(HOST, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { TZ: 'UTC', HOME: workDir } });
  const engine = watch(child, options.log);
  try {
    await engine.answers(port, user);
    await createDatabase(port, password);
  } catch (cause) {
    await engine.stop();
    throw cause;
  } finally {
    asUser(user, () => rmSync(join(workDir, configName), { force: true }));
  }
  asUser(user, () => publishPassword(workDir, password));
  const { done, stop } = engine;
  const url = `http://127.0.0.1:${port}`;
  return { url, username: 'bintrail', password, database: 'bintrail', pid: child.pid!, done, stop };
}

function engineUser({ uid, gid }: ClickHouseOptions): User {
  if (process.geteuid!() !== 0) return { uid: process.geteuid!(), gid: process.getegid!() };
  if (uid && gid) return { uid, gid };
  throw new SetupError('the embedded ClickHouse never runs as root', 'name an unprivileged user for it');
}

function engineLibrary(): string {
  const name = `@chdb/lib-${process.platform}-${process.arch}-gnu`;
  try {
    return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), 'libchdb.so');
  } catch {
    throw new SetupError(`npm brought no ${name}`, 'run npm install, or set CLICKHOUSE_URL to a ClickHouse server');
  }
}

/**
 * Makes the folder and a configuration of its own for this start, and answers its name: another engine may be running
 * here, and must keep what is its own. The engine takes up deleting dropped tables only if `metadata` is there.
 */
function prepare(workDir: string, password: string, user: User): string {
  const fileName = `config-${randomBytes(8).toString('hex')}.xml`;
  const memory = memoryLimitBytes(totalmem(), process.constrainedMemory());
  const config = engineConfig({ fileName, password, memoryLimitBytes: memory, logFile: join(workDir, 'engine.log') });
  try {
    asUser(user, () => {
      mkdirSync(join(workDir, 'data', 'metadata'), { recursive: true, mode: 0o700 });
      writeFileSync(join(workDir, fileName), config, { mode: 0o600, flag: 'wx' });
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const remedy = 'set BINTRAIL_HOME to a folder of that user, below folders it may enter';
    throw new SetupError(`user ${user.uid} cannot keep ClickHouse's data in ${workDir}: ${reason}`, remedy);
  }
  return fileName;
}

function publishPassword(workDir: string, password: string): void {
  const path = join(workDir, 'password');
  rmSync(path, { force: true });
  writeFileSync(path, password, { mode: 0o600, flag: 'wx' });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function createDatabase(port: number, password: string): Promise<void> {
  const options = { url: `http://127.0.0.1:${port}`, username: 'bintrail', password, database: 'system' };
  const store = openStore(options);
  try {
    await store.command('CREATE DATABASE IF NOT EXISTS bintrail');
  } finally {
    await store.close();
  }
}

type Engine = {
  readonly done: Promise<void>;
  answers(port: number, user: User): Promise<void>;
  stop(): Promise<void>;
};

function watch(child: ChildProcess, log: (line: string) => void): Engine {
  let stopping = false;
  let ended: string | undefined;
  let printed = '';
  for (const output of [child.stdout!, child.stderr!]) {
    createInterface({ input: output }).on('line', (line) => {
      printed = `${printed}${line}\n`.slice(-PRINTED_TAIL);
      log(line);
    });
  }
  const exited = new Promise<void>((resolve) => {
    const end = (how: string) => {
      ended ??= `${how}\n${printed}`.trim();
      resolve();
    };
    child.once('error', (error) => end(error.message));
    child.once('close', (code, signal) => end(signal === null ? `exit code ${code}` : signal));
  });
  const done = exited.then(() => {
    if (!stopping) throw new Error(`the embedded ClickHouse ended: ${ended}`);
  });
  // Whoever started the engine learns of its end through `done`, or through the start that failed.
  done.catch(() => {});

  const stop = async (): Promise<void> => {
    stopping = true;
    child.kill('SIGTERM');
    const impatience = new AbortController();
    const killed = delay(STOP_TIMEOUT_MS, undefined, { signal: impatience.signal }).then(
      () => child.kill('SIGKILL'),
      () => false,
    );
    await exited;
    impatience.abort();
    await killed;
  };

  const answers = async (port: number, user: User): Promise<void> => {
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await pings(port))) {
      if (ended === undefined && Date.now() < deadline) await delay(START_POLL_MS);
      else throw refused(ended ?? `no answer within ${START_TIMEOUT_MS} ms\n${printed}`);
    }
    // The port was free a moment ago, and the answer without a password: it may be anyone's.
    const owner = listenerUid(port);
    if (owner !== user.uid) throw refused(`port ${port} was taken by user ${owner}`);
  };
  return { done, answers, stop };
}

function refused(reason: string): SetupError {
  const remedy = 'see clickhouse/engine.log in BINTRAIL_HOME; only one Bintrail can run on one BINTRAIL_HOME';
  return new SetupError(`the embedded ClickHouse did not start: ${reason}`, remedy);
}

async function pings(port: number): Promise<boolean> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/ping`, { signal: AbortSignal.timeout(1000) });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}

/** Whose process listens on a port of 127.0.0.1, from `/proc/net/tcp` (proc_net_tcp.rst); undefined when none does. */
function listenerUid(port: number): number | undefined {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n')) {
    const [, address, , state, , , , uid] = line.trim().split(/\s+/);
    if (address === local && state === '0A') return Number(uid);
  }
  return undefined;
}
