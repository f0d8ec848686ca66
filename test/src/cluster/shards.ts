/** Two real engines on this machine that are the shards of one cluster, each with one replica and without a Keeper. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Migration, migrate } from '@bintrail/runtime/migrate.ts';
import { openStore, type Store } from '@bintrail/runtime/store.ts';

const SOURCE = fileURLToPath(new URL('./engine.c', import.meta.url));
const LIBRARY = join(
  dirname(createRequire(import.meta.url).resolve(`@chdb/lib-linux-${process.arch}-gnu/package.json`)),
  'libchdb.so',
);
const SHARDS = 2;
const CLUSTER = 'bintrail';
const READY_MS = 30_000;

export type Shards = {
  /** One connection to each server; any of them answers for the whole cluster. */
  readonly stores: readonly Store[];
  readonly close: () => Promise<void>;
};

/**
 * Starts the cluster with these migrations. Replicated tables are made plain ones, as the embedded engine has no Keeper
 * to keep their tokens in; the rest is what a cluster gets.
 */
export async function startShards(migrations: readonly Migration[]): Promise<Shards> {
  const folder = mkdtempSync(join(tmpdir(), 'bintrail-shards-'));
  const binary = join(folder, 'engine');
  execFileSync('cc', ['-O1', '-o', binary, SOURCE, '-ldl']);
  const ports = await freePorts(2 * SHARDS);
  const tcpPorts = ports.slice(SHARDS);
  const children: ChildProcess[] = [];
  const stores: Store[] = [];
  for (let shard = 0; shard < SHARDS; shard++) {
    const home = join(folder, `shard-${shard}`);
    mkdirSync(join(home, 'data', 'metadata'), { recursive: true });
    writeFileSync(join(home, 'config.xml'), configuration(tcpPorts, join(home, 'engine.log')));
    const child = spawn(binary, [LIBRARY, home, String(ports[shard]), String(tcpPorts[shard])], { stdio: 'inherit' });
    // It ends with this process: a test that fails before `close` must not wait for it.
    child.unref();
    child.once('exit', (code, signal) => {
      if (child.killed) return;
      console.error(`shard ${shard} ended by itself with ${code ?? signal}:\n${lastWords(join(home, 'engine.log'))}`);
    });
    children.push(child);
    const server = { url: `http://127.0.0.1:${ports[shard]}`, username: 'default', password: '' };
    await createDatabase(openStore({ ...server, database: 'system' }));
    stores.push(openStore({ ...server, database: 'bintrail', cluster: CLUSTER }));
  }
  const schema = { cluster: CLUSTER, deduplicationSeconds: 3600 };
  for (const store of stores) {
    const command = (sql: string) => store.command(unreplicated(sql));
    await migrate({ ...store, command }, migrations, schema);
  }
  const close = async (): Promise<void> => {
    await Promise.all(stores.map((store) => store.close()));
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  return { stores, close };
}

/** On one server at a time, without replicas. */
function unreplicated(sql: string): string {
  return sql
    .replace(` ON CLUSTER '${CLUSTER}'`, '')
    .replace(/\bReplicated(\w*MergeTree)\('[^']*', '[^']*'(?:, (\w+))?\)/, (_, engine: string, version?: string) =>
      version === undefined ? engine : `${engine}(${version})`,
    )
    .replace(
      /\breplicated_deduplication_window = (\d+), replicated_\w+ = \d+/,
      'non_replicated_deduplication_window = $1',
    );
}

async function createDatabase(store: Store): Promise<void> {
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

const LAST_WORDS_BYTES = 16 * 1024;

function lastWords(logFile: string): string {
  return existsSync(logFile) ? readFileSync(logFile, 'utf8').slice(-LAST_WORDS_BYTES) : '';
}

function configuration(tcpPorts: readonly number[], logFile: string): string {
  const shards = tcpPorts.map(
    (port) =>
      `<shard><internal_replication>true</internal_replication>
         <replica><host>127.0.0.1</host><port>${port}</port><user>default</user></replica></shard>`,
  );
  return `<clickhouse><logger><level>warning</level><log>${logFile}</log></logger><users_config>config.xml</users_config>
    <default_database></default_database><database>system</database>
    <remote_servers><${CLUSTER}>${shards.join('')}</${CLUSTER}></remote_servers>
    <users><default><no_password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile>
      <quota>default</quota></default></users>
    <profiles><default></default></profiles><quotas><default></default></quotas></clickhouse>`;
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once('listening', resolve))));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
