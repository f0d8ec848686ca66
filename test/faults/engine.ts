/** A ClickHouse server to kill: the embedded engine's host with the port and the password it had before. */
import { randomBytes } from 'node:crypto';
import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { openStore, type Store } from '@bintrail/runtime/store.ts';
import { engineConfig } from '@bintrail/standalone/clickhouse-config.ts';
import { buildHost, hostBinary, testUser } from '@bintrail/standalone/clickhouse-host.fixture.ts';
import { eventually } from '../src/e2e/bintrail.ts';
import { type Supervised, supervise } from './supervised.ts';

export type Engine = {
  readonly process: Supervised;
  /** As `CLICKHOUSE_URL` wants it. */
  readonly url: string;
  readonly store: Store;
};

const LIBRARY = join(
  dirname(createRequire(import.meta.url).resolve(`@chdb/lib-linux-${process.arch}-gnu/package.json`)),
  'libchdb.so',
);
const MEMORY_BYTES = 2 * 1024 ** 3;

/** Starts it in `folder`, which its user can reach, with an empty database. */
export async function startEngine(folder: string, port: number, logFile: string): Promise<Engine> {
  buildHost();
  const password = randomBytes(16).toString('hex');
  const fileName = 'config.xml';
  mkdirSync(join(folder, 'data', 'metadata'), { recursive: true });
  const config = { fileName, password, memoryLimitBytes: MEMORY_BYTES, logFile: join(folder, 'engine.log') };
  writeFileSync(join(folder, fileName), engineConfig(config));
  for (const path of ['', 'data', join('data', 'metadata'), fileName])
    chownSync(join(folder, path), testUser.uid, testUser.gid);
  const args = [LIBRARY, folder, fileName, port, testUser.uid, testUser.gid, process.pid].map(String);
  const host = supervise({ name: 'clickhouse', command: [hostBinary, ...args], env: { TZ: 'UTC' }, logFile });
  host.start();
  const options = { url: `http://127.0.0.1:${port}`, username: 'bintrail', password };
  const system = openStore({ ...options, database: 'system' });
  await eventually('the engine answers', 30_000, async () => {
    const made = system.command('CREATE DATABASE IF NOT EXISTS bintrail');
    return await made.then(
      () => true,
      () => undefined,
    );
  });
  await system.close();
  const url = `http://bintrail:${password}@127.0.0.1:${port}/bintrail`;
  return { process: host, url, store: openStore({ ...options, database: 'bintrail' }) };
}
