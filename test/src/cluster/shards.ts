/** Two real engines on this machine that are the shards of one cluster, each with one replica and without a Keeper. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Migration, migrate } from '@bintrail/runtime/migrate.ts';
import { openStore, type Store } from '@bintrail/runtime/store.ts';
import { freePorts, type Server, startServer } from './server.ts';

const SHARDS = 2;
const CLUSTER = 'bintrail';

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
  const ports = await freePorts(2 * SHARDS);
  const tcpPorts = ports.slice(SHARDS);
  const servers: Server[] = [];
  for (let shard = 0; shard < SHARDS; shard++) {
    const place = { home: join(folder, `shard-${shard}`), port: ports[shard]!, tcpPort: tcpPorts[shard]! };
    servers.push(await startServer({ ...place, settings: clusterOf(tcpPorts) }));
  }
  const login = { username: 'default', password: '', database: 'bintrail', cluster: CLUSTER };
  const stores = servers.map(({ url }) => openStore({ url, ...login }));
  const schema = { cluster: CLUSTER, deduplicationSeconds: 3600 };
  for (const store of stores) {
    const command = (sql: string) => store.command(unreplicated(sql));
    await migrate({ ...store, command }, migrations, schema);
  }
  const close = async (): Promise<void> => {
    await Promise.all(stores.map((store) => store.close()));
    for (const server of servers) server.kill();
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

function clusterOf(tcpPorts: readonly number[]): string {
  const shards = tcpPorts.map(
    (port) =>
      `<shard><internal_replication>true</internal_replication>
         <replica><host>127.0.0.1</host><port>${port}</port><user>default</user></replica></shard>`,
  );
  return `<remote_servers><${CLUSTER}>${shards.join('')}</${CLUSTER}></remote_servers>`;
}
