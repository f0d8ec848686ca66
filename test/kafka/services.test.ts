import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { newLocation } from '@bintrail/runtime/bus.contract.kit.ts';
import { openKafkaBus } from '@bintrail/runtime/kafka-bus.ts';
import { ensureTopics } from '@bintrail/runtime/kafka-topics.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { openStore, type Store } from '@bintrail/runtime/store.ts';
import { TOPICS, topicShapes } from '@bintrail/schemas/topics.ts';
import { startTestEngine, type TestEngine } from '@bintrail/standalone/clickhouse-host.fixture.ts';
import { createFleet } from '../src/fleet/fleet.ts';
import { connectionOf } from './contract.adapter.ts';
import { kafkaForTests } from './for-tests.ts';

await kafkaForTests();
const log = createLog({ level: 'error', name: 'test' });
const EXECS = 20_000;

type Service = { readonly name: string; readonly child: ChildProcess; readonly url: string };

/** `/readyz` and the others listen on a free port, which the log tells. */
async function startService(t: TestContext, name: string, env: Record<string, string>): Promise<Service> {
  const main = fileURLToPath(new URL(`../../services/${name}/src/main.ts`, import.meta.url));
  const child = spawn(process.execPath, [main], {
    env: { ...process.env, BINTRAIL_OPS_PORT: '0', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  const url = await new Promise<string>((resolve, reject) => {
    let printed = '';
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}: ${printed}`)));
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
      const [, found] = /"url":"(http:[^"]+)","msg":"up"/.exec(printed) ?? [];
      if (found !== undefined) resolve(found);
    });
  });
  return { name, child, url };
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const givesUpMs = performance.now() + 60_000;
  while (!(await holds())) {
    assert(performance.now() < givesUpMs, `never happened: ${what}`);
    await delay(100);
  }
}

describe('services as processes over Kafka and ClickHouse', () => {
  let engine: TestEngine;
  let store: Store;
  let settings: Record<string, string>;
  before(async () => {
    engine = await startTestEngine();
    const { url, username, password, database } = engine;
    store = openStore({ url, username, password, database });
    settings = { CLICKHOUSE_URL: `${url.replace('//', `//${username}:${password}@`)}/${database}` };
  });
  after(async () => {
    await store.close();
    await engine.remove();
  });

  test('a fleet ends up in the store exactly, while copies of ingest are added, asked to go and killed', async (t) => {
    const connection = connectionOf(await newLocation());
    await ensureTopics(connection, topicShapes({ partitions: 4, retentionMs: 3_600_000 }), log);
    const env = { ...settings, KAFKA_PREFIX: connection.prefix, KAFKA_SESSION_TIMEOUT: '5s' };
    const bus = openKafkaBus({ connection, log });
    t.after(bus.close);
    const first = await startService(t, 'ingest', env);
    const detect = await startService(t, 'detect', env);
    for (const { url } of [first, detect]) {
      const ready = await fetch(`${url}/readyz`);
      assert.equal(ready.status, 200, await ready.text());
      assert.equal(((await (await fetch(`${url}/healthz`)).json()) as { state: string }).state, 'up');
    }

    const fleet = createFleet({ seed: 7, nodes: 30, workloads: 12, startMs: Date.now() - 60_000, maxRows: 8 });
    const send = async (execs: number): Promise<void> => {
      await Promise.all(fleet.send(execs).map((message) => bus.publish(TOPICS.events, [message])));
    };
    await send(EXECS / 4);
    const second = await startService(t, 'ingest', env);
    await send(EXECS / 4);
    first.child.kill('SIGKILL');
    await send(EXECS / 4);
    const third = await startService(t, 'ingest', env);
    second.child.kill('SIGTERM');
    const [code] = await once(second.child, 'exit');
    assert.equal(code, 0);
    await send(EXECS / 4);
    for (const message of fleet.finish()) await bus.publish(TOPICS.events, [message]);
    const account = fleet.account();
    await until('ingest has read all', async () => (await bus.lag(TOPICS.events, 'ingest')).records === 0);
    await until('detect has read all', async () => (await bus.lag(TOPICS.events, 'detect')).records === 0);

    const counted = (table: string) => `(SELECT toUInt32(count()) FROM ${table}) AS ${table}`;
    const tables = ['exec_events', 'exit_events', 'digest_events', 'batches'];
    const [stored] = await store.query(`SELECT ${tables.map(counted).join(', ')}`);
    const { execs, exits, late, messages } = account;
    assert.deepEqual(stored, { exec_events: execs, exit_events: exits, digest_events: late, batches: messages });
    const rows = await store.query<{ workload: string; sha256: string; n: number }>(
      `SELECT workload, lower(hex(sha256)) AS sha256, toUInt32(sum(n)) AS n FROM sightings
       GROUP BY workload, sha256 HAVING n != 0`,
    );
    const sent = [...account.sightings].flatMap(([workload, digests]) =>
      [...digests].map(([sha256, n]) => `${workload} ${sha256} ${n}`),
    );
    assert.deepEqual(rows.map(({ workload, sha256, n }) => `${workload} ${sha256} ${n}`).sort(), sent.sort());

    const metrics = await (await fetch(`${third.url}/metrics`)).text();
    assert.match(metrics, /bintrail_stage_in_total\{stage="ingest",topic="bintrail.events"\} \d/);
    assert.match(metrics, /bintrail_stage_lag_records\{stage="ingest",topic="bintrail.events"\} 0/);
    const found = await (await fetch(`${detect.url}/metrics`)).text();
    assert.match(found, /bintrail_detect_judged_total [1-9]/);
  });

  test('the api and notify serve as processes, and a wrong setting ends one with 78', async (t) => {
    const location = await newLocation();
    const connection = connectionOf(location);
    await ensureTopics(connection, topicShapes({ partitions: 1, retentionMs: 3_600_000 }), log);
    const env = {
      ...settings,
      KAFKA_PREFIX: connection.prefix,
      BINTRAIL_PORT: '0',
      BINTRAIL_HOME: join(location, 'new'),
    };
    const api = await startService(t, 'api', env);
    const notify = await startService(t, 'notify', env);
    for (const { url } of [api, notify]) assert.equal((await fetch(`${url}/readyz`)).status, 200);
    const { url } = (await (await fetch(`${api.url}/healthz`)).json()) as { url: string };
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
    assert.equal((await fetch(`${url}/v1/findings`)).status, 401);
    await assert.rejects(
      startService(t, 'ingest', { ...env, KAFKA_BROKERS: 'nonsense' }),
      /ended with 78: [\s\S]*KAFKA_BROKERS must be a list of host:port/,
    );
  });
});
