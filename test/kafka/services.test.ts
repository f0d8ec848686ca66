import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createSecret } from '@bintrail/api/secret.ts';
import { newLocation } from '@bintrail/runtime/bus.contract.kit.ts';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { openKafkaBus } from '@bintrail/runtime/kafka-bus.ts';
import { createClient } from '@bintrail/runtime/kafka-client.ts';
import { ensureTopics } from '@bintrail/runtime/kafka-topics.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { openStore, type Store } from '@bintrail/runtime/store.ts';
import { TOPICS, topicShapes } from '@bintrail/schemas/topics.ts';
import { startTestEngine, type TestEngine } from '@bintrail/standalone/clickhouse-host.fixture.ts';
import { createFleet } from '../src/fleet/fleet.ts';
import { connectionOf } from './contract.adapter.ts';
import { kafkaForTests } from './for-tests.ts';
import { startProxy } from './proxy.ts';
import { hasState, type Service, stageNumbers, startService, until, untilReady } from './service.kit.ts';

await kafkaForTests();
const log = createLog({ level: 'error', name: 'test' });
const EXECS = 20_000;
/** As the README says, with room for a busy machine. */
const APPROVAL_SEEN_MS = 10_000;
const REVOKED_WITHIN_MS = 20_000;

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
    for (const each of [first, detect]) {
      await untilReady(each);
      assert(await hasState(each, 'up'));
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

    const judged = await stageNumbers(detect, TOPICS.events);
    assert(judged.out > 0 && judged.batches > 0);
    assert.deepEqual(
      { ...judged, out: 0, batches: 0, retries: 0 },
      { in: messages, out: 0, dead: 0, retries: 0, lag: 0, oldestUnackedSeconds: 0, batches: 0, records: messages },
    );
    const last = await stageNumbers(third, TOPICS.events);
    assert(last.in > 0 && last.in === last.records && last.out > 0);
    assert.deepEqual([last.dead, last.lag, last.oldestUnackedSeconds], [0, 0, 0]);
    assert.equal((await stageNumbers(third, TOPICS.findings, 'ingest-findings')).lag, 0);
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
    for (const each of [api, notify]) await untilReady(each);
    const bus = openKafkaBus({ connection, log });
    t.after(bus.close);
    await bus.publish(TOPICS.findings, [{ key: 'g', value: Buffer.from('no finding') }]);
    await until('notify has put it aside', async () => (await stageNumbers(notify, TOPICS.findings)).dead === 1);
    const numbers = await stageNumbers(notify, TOPICS.findings);
    assert.deepEqual([numbers.in, numbers.out, numbers.records], [1, 0, 1]);
    await until('it is acknowledged', async () => (await stageNumbers(notify, TOPICS.findings)).lag === 0);
    const { url } = (await (await fetch(`${api.url}/healthz`)).json()) as { url: string };
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
    assert.equal((await fetch(`${url}/v1/findings`)).status, 401);
    await assert.rejects(
      startService(t, 'ingest', { ...env, KAFKA_BROKERS: 'nonsense' }),
      /ended with 78: [\s\S]*KAFKA_BROKERS must be a list of host:port/,
    );
  });

  test('a stage is not ready before it is a member of its groups, however well it is otherwise', async (t) => {
    const connection = connectionOf(await newLocation());
    await ensureTopics(connection, topicShapes({ partitions: 2, retentionMs: 3_600_000 }), log);
    const broker = Number(connection.brokers[0]!.split(':')[1]);
    const nowhere = 1;
    let port = nowhere;
    const way = await startProxy(() => port);
    t.after(way.close);
    const env = { ...settings, KAFKA_PREFIX: connection.prefix, KAFKA_BROKERS: `127.0.0.1:${way.port}` };
    const ingest = await startService(t, 'ingest', env);
    assert.equal((await fetch(`${ingest.url}/readyz`)).status, 503);
    port = broker;
    await untilReady(ingest);
    const client = createClient(connection, log);
    const admin = client.kafka.admin();
    await admin.connect();
    t.after(async () => {
      await admin.disconnect();
      client.destroy();
    });
    const groups = [`${TOPICS.events}.ingest`, `${TOPICS.findings}.ingest-findings`].map(
      (each) => connection.prefix + each,
    );
    const described = await admin.describeGroups(groups);
    assert.deepEqual(
      described.groups.map(({ members }) => members.length),
      [1, 1],
    );
  });

  test('of two copies of the api one writes, and the other shows it and refuses changes', async (t) => {
    const location = await newLocation();
    const connection = connectionOf(location);
    await ensureTopics(connection, topicShapes({ partitions: 1, retentionMs: 3_600_000 }), log);
    const { token, sha256 } = createSecret();
    const common = { KAFKA_PREFIX: connection.prefix, BINTRAIL_PORT: '0', BINTRAIL_ADMIN_TOKEN_HASH: sha256 };
    const writing = await startService(t, 'api', { ...settings, ...common });
    const writer = await askApi(writing, token);
    const viewer = await writer('POST', '/v1/tokens', { name: 'viewer', role: 'viewer' });
    const reading = await startService(t, 'api', { ...settings, ...common, BINTRAIL_API_WRITER: writer.url });
    await untilReady(reading);
    const reader = await askApi(reading, token);
    const viewing = await askApi(reading, viewer.body.token);
    assert.equal((await viewing('GET', '/v1/approvals')).status, 200);

    const isSeen = async (id: string) => (await viewing('GET', `/v1/approvals/${id}`)).status === 200;
    const approval = { match: { path: '/opt/a' }, effect: 'allow', scope: { workload: 'systemd/*' }, reason: 'ours' };
    const ids: string[] = [];
    const seenMs: number[] = [];
    for (let n = 0; n < 5; n += 1) {
      const { status, body } = await writer('POST', '/v1/approvals', approval);
      assert.equal(status, 201);
      assert.equal((await writer('GET', `/v1/approvals/${body.id}`)).status, 200);
      ids.push(body.id);
      const acknowledgedMs = performance.now();
      await until('the other shows it', () => isSeen(body.id));
      seenMs.push(Math.round(performance.now() - acknowledgedMs));
    }
    t.diagnostic(`shown by the other after ${seenMs.join(', ')} ms`);
    assert(Math.max(...seenMs) < APPROVAL_SEEN_MS);
    const refused = await reader('POST', '/v1/approvals', approval);
    assert.equal(refused.status, 421);
    assert(refused.body.detail.includes(`changes go to ${writer.url},`));

    assert.equal((await writer('DELETE', `/v1/tokens/${viewer.body.id}`)).status, 200);
    const revokedMs = performance.now();
    const isRefused = async () => (await viewing('GET', '/v1/approvals')).status === 401;
    await until('the revoked token is refused', isRefused);
    assert(performance.now() - revokedMs < REVOKED_WITHIN_MS);

    writing.child.kill('SIGKILL');
    const again = await startService(t, 'api', { ...settings, ...common });
    const { body } = await (await askApi(again, token))('POST', '/v1/approvals', approval);
    await until('the other follows also the one that came after', async () => {
      return (await reader('GET', `/v1/approvals/${body.id}`)).status === 200;
    });

    const bus = openKafkaBus({ connection, log });
    t.after(bus.close);
    const all = [...ids, body.id].sort();
    assert.deepEqual(
      (await keysOf(bus, TOPICS.policy)).sort(),
      all.map((id) => `approval:${id}`),
    );
    const rows = await store.query<{ id: string; revision: number }>(
      'SELECT id, toUInt32(revision) AS revision FROM approval_revisions ORDER BY revision',
    );
    assert.deepEqual(rows.map(({ id }) => id).sort(), all);
    assert.deepEqual(
      rows.map(({ revision }) => revision),
      [1, 2, 3, 4, 5, 6],
    );
  });
});

/** Of all records, repeated ones too. */
async function keysOf(bus: Bus, topic: string): Promise<string[]> {
  const keys: string[] = [];
  const follower = await bus.follow(topic, (records) => {
    for (const { key } of records) keys.push(key);
  });
  await follower.close();
  return keys;
}

type Answer = { readonly id: string; readonly token: string; readonly detail: string };

async function askApi(service: Service, token: string) {
  const { url } = (await (await fetch(`${service.url}/healthz`)).json()) as { url: string };
  const ask = async (method: string, path: string, body?: object) => {
    const headers = { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) };
    const response = await fetch(url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    return { status: response.status, body: (await response.json()) as Answer };
  };
  return Object.assign(ask, { url });
}
