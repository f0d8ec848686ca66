/** A ClickHouse server as somebody else set it up: the real engine under a configuration of the test's own. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openStore } from '@bintrail/runtime/store.ts';

const SOURCE = fileURLToPath(new URL('./engine.c', import.meta.url));
const LIBRARY = join(
  dirname(createRequire(import.meta.url).resolve(`@chdb/lib-linux-${process.arch}-gnu/package.json`)),
  'libchdb.so',
);
const READY_MS = 30_000;
const LAST_WORDS_BYTES = 16 * 1024;

export type Server = { readonly url: string; kill(): void };

export type ServerOptions = {
  /** Of its own, not there yet. */
  readonly home: string;
  readonly port: number;
  readonly tcpPort: number;
  /** XML: what stands beside the user `default`, who needs no password and may do everything. */
  readonly settings?: string;
  readonly users?: string;
};

/** Resolves once the database `bintrail` is made. It ends with this process. */
export async function startServer({ home, port, tcpPort, settings = '', users = '' }: ServerOptions): Promise<Server> {
  mkdirSync(join(home, 'data', 'metadata'), { recursive: true });
  const binary = join(home, 'engine');
  execFileSync('cc', ['-O1', '-o', binary, SOURCE, '-ldl']);
  const logFile = join(home, 'engine.log');
  writeFileSync(join(home, 'config.xml'), configuration(logFile, settings, users));
  const child = spawn(binary, [LIBRARY, home, String(port), String(tcpPort)], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  // A test that fails before it kills it must not wait for it.
  child.unref();
  child.once('exit', (code, signal) => {
    if (child.killed) return;
    const lastWords = existsSync(logFile) ? readFileSync(logFile, 'utf8').slice(-LAST_WORDS_BYTES) : '';
    console.error(`${home} ended by itself with ${code ?? signal}:\n${lastWords}`);
  });
  const url = `http://127.0.0.1:${port}`;
  await createDatabase(url);
  return { url, kill: () => void child.kill('SIGKILL') };
}

async function createDatabase(url: string): Promise<void> {
  const store = openStore({ url, username: 'default', password: '', database: 'system' });
  for (const untilMs = Date.now() + READY_MS; ; ) {
    try {
      await store.command('CREATE DATABASE IF NOT EXISTS bintrail');
      return await store.close();
    } catch (error) {
      if (Date.now() > untilMs) throw error;
      await delay(50);
    }
  }
}

function configuration(logFile: string, settings: string, users: string): string {
  return `<clickhouse><logger><level>warning</level><log>${logFile}</log></logger><users_config>config.xml</users_config>
    <default_database></default_database><database>system</database>${settings}
    <users><default><no_password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile>
      <quota>default</quota></default>${users}</users>
    <profiles><default></default></profiles><quotas><default></default></quotas></clickhouse>`;
}

export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once('listening', resolve))));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
