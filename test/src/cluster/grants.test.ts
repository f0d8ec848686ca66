/** README's GRANT lines are what Bintrail needs of a server: enough for all of it, and not a database more. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openTestApi, startParts } from '@bintrail/api/api.fixture.ts';
import { createStoreEvents } from '@bintrail/ingest/events-stage.ts';
import { MIGRATIONS, planOf } from '@bintrail/ingest/store.fixture.ts';
import { migrate, readMigrations } from '@bintrail/runtime/migrate.ts';
import { openStore } from '@bintrail/runtime/store.ts';
import { createFleet } from '../fleet/fleet.ts';
import { freePorts, startServer } from './server.ts';

const README = new URL('../../../README.md', import.meta.url);
const READS = ['/v1/events?type=exec', '/v1/binaries', '/v1/workloads', '/v1/findings', '/v1/coverage', '/v1/nodes'];

test('a user with the rights of the README stores, asks and approves, and may do nothing elsewhere', async (t) => {
  const granted = [...readFileSync(README, 'utf8').matchAll(/^\s*(GRANT .+ ON .+) TO bintrail;$/gm)];
  assert.ok(granted.length > 0);
  const queries = granted.map(([, grant]) => `<query>${grant}</query>`).join('');
  const rights = '<networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>';
  const users = `<bintrail><password>secret</password>${rights}<grants>${queries}</grants></bintrail>`;
  const folder = mkdtempSync(join(tmpdir(), 'bintrail-grants-'));
  const [port = 0, tcpPort = 0] = await freePorts(2);
  const server = await startServer({ home: join(folder, 'server'), port, tcpPort, users });
  const store = openStore({ url: server.url, username: 'bintrail', password: 'secret', database: 'bintrail' });
  const parts = await startParts();
  t.after(async () => {
    await store.close();
    await parts.stop();
    server.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  await migrate(store, readMigrations(MIGRATIONS));
  const fleet = createFleet({ seed: 1, nodes: 5, workloads: 5, startMs: Date.now(), maxRows: 8 });
  await createStoreEvents(store)(planOf([...fleet.send(100), ...fleet.finish()].map(({ value }) => value)));
  const api = await openTestApi({ ...parts, store });
  for (const path of READS) assert.equal((await api.ask(path)).status, 200, path);
  const { json } = await api.ask('/v1/events?type=exec&limit=200');
  assert.equal(json.items.length, 100);
  const approval = { match: { path: '/opt/a' }, effect: 'allow', scope: { workload: 'systemd/*' }, reason: 'ours' };
  const approved = await api.ask('/v1/approvals', { method: 'POST', body: approval, role: 'admin' });
  assert.equal(approved.status, 201, approved.text);
  await api.close();
  await assert.rejects(store.command('CREATE DATABASE elsewhere'));
  await assert.rejects(store.command('CREATE TABLE system.own (x UInt8) ENGINE = Memory'));
});
