/** Silent probes, on the real bus and the real engine. Time is the test's: the store gets it from the plans. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createStoreEvents } from '@bintrail/ingest/events-stage.ts';
import { storeFindings } from '@bintrail/ingest/findings-stage.ts';
import { openTestStore, planOf, type TestStore } from '@bintrail/ingest/store.fixture.ts';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics } from '@bintrail/runtime/metrics.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import { type Finding, findingSchema } from '@bintrail/schemas/finding.ts';
import { COMPACTED_TOPICS, TOPICS } from '@bintrail/schemas/topics.ts';
import { type SilenceWatch, watchSilence } from './silence-watch.ts';

const HEARTBEAT = {
  probe_version: '',
  hooks: '',
  kernel: '',
  outbox_depth: 0n,
  waiting_digests: 0,
  held_descriptors: 0,
  ring_backlog_bytes: 0n,
  fanotify_backlog_bytes: 0n,
};

let test: TestStore;
let folder: string;
let bus: Bus;
let running: SilenceWatch[];
let held: string[];
let nowMs: number;
let looks: number;
let offset = 0;

before(async () => {
  test = await openTestStore();
});
after(() => test.close());

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'silence-'));
  bus = openSqliteBus({ path: join(folder, 'bus.db'), compactedTopics: COMPACTED_TOPICS });
  running = [];
  held = [];
  nowMs = Date.now();
  for (const table of ['heartbeat_events', 'finding_evidence', 'batches', 'probe_runs']) {
    await test.store.command(`TRUNCATE TABLE ${table}`);
  }
});
afterEach(async () => {
  for (const watch of running) await watch.close();
  await bus.close();
  rmSync(folder, { recursive: true });
});

/** A heartbeat that the store got at `nowMs`. */
async function hear(node: string, seq: number, { mode = 'live', probeEpoch = 1n } = {}): Promise<void> {
  const row = { ...HEARTBEAT, ts: 1n, stream: 3, seq: BigInt(seq), mode };
  const message = encodeBatch(EVENTS.heartbeat, { node, boot: 'b-1', probeEpoch, batchSeq: offset }, [row]);
  await createStoreEvents(test.store)(planOf([message], { from: offset++, atMs: nowMs }));
}

function watch(on: Bus = bus, store: Store = test.store): SilenceWatch {
  const log = createLog({ level: 'info', name: 'test', write: (line) => held.push(JSON.parse(line).reason) });
  looks = 0;
  const query: Store['query'] = (sql, params) => {
    looks += 1;
    return store.query(sql, params);
  };
  const started = watchSilence({
    bus: on,
    store: { ...store, query },
    log,
    metrics: createMetrics(),
    clock: () => nowMs,
    everyMs: 1,
  });
  running.push(started);
  return started;
}

/** Lets time pass in steps, each of them looked at twice. */
async function pass(minutes: number, everyStep: () => Promise<void> = async () => {}): Promise<void> {
  for (const untilMs = nowMs + minutes * 60_000; nowMs < untilMs; ) {
    nowMs += 15_000;
    await everyStep();
    const atLeast = looks + 2;
    while (looks < atLeast) await delay(1);
  }
}

async function published(): Promise<Finding[]> {
  const found: Finding[] = [];
  const follower = await bus.follow(TOPICS.findings, (records) => {
    for (const { value } of records) found.push(findingSchema.parse(JSON.parse(Buffer.from(value).toString())));
  });
  await follower.close();
  return found;
}

async function storePublished(): Promise<void> {
  const values = (await published()).map((finding) => Buffer.from(JSON.stringify(finding)));
  await storeFindings(test.store, planOf(values, { topic: TOPICS.findings, from: offset++ }));
}

describe('watching for silence', () => {
  it('finds who is not heard for five minutes, once, and again only after it was heard', async () => {
    await hear('dies', 1);
    await hear('lives', 1);
    watch();
    let seq = 1;
    const live = () => hear('lives', ++seq);
    await pass(4.5, live);
    assert.deepEqual(await published(), []);
    await pass(5, live);
    const first = await published();
    assert.deepEqual(
      first.map(({ node, rule }) => [node, rule]),
      [['dies', 'probe-silent']],
    );
    await hear('dies', 2);
    await pass(6, live);
    const ids = (await published()).map(({ finding_id: id }) => id);
    assert.deepEqual([ids.length, new Set(ids).size, ids[0]], [2, 2, first[0]!.finding_id]);
  });

  it('says who was stopped in good order', async () => {
    await hear('ends', 1);
    await hear('ends', 2, { mode: 'stopping' });
    watch();
    await pass(6);
    const [found, ...others] = await published();
    assert.deepEqual([found!.severity, others.length], ['low', 0]);
    assert.match(found!.evidence.verdict.why, /stopped in good order/);
  });

  it('goes on after a restart, and copies of it agree', async () => {
    await hear('dies', 1);
    nowMs += 600_000;
    const [one, two] = [watch(), watch()];
    await pass(2);
    const twice = await published();
    assert.deepEqual(new Set(twice.map(({ finding_id: id }) => id)).size, 1);
    await storePublished();
    await Promise.all([one.close(), two.close()]);
    watch();
    await pass(5);
    assert.equal((await published()).length, twice.length, 'what is stored is not told again');
  });

  it('calls nobody silent while ingest is behind, nor right after', async () => {
    await hear('a', 1);
    await hear('b', 1);
    let behindMs = 90_000;
    const on: Bus = { ...bus, lag: async () => ({ records: behindMs === 0 ? 0 : 9, oldestAgeMs: behindMs }) };
    watch(on);
    // No query is made meanwhile: only the clock and the loop go on.
    for (let step = 0; step < 40; step++) {
      nowMs += 15_000;
      await delay(3);
    }
    assert.deepEqual(held, ['ingest_behind'], 'an outage is told once');
    behindMs = 0;
    await hear('a', 2);
    await pass(0.5);
    assert.deepEqual(await published(), [], 'b may still be on its way');
    await pass(2, () => hear('a', 3 + nowMs));
    assert.deepEqual(
      (await published()).map(({ node }) => node),
      ['b'],
    );
  });

  it('says nothing of the one look that finds what was left at a start', async () => {
    await hear('a', 1);
    const lags = [{ records: 9, oldestAgeMs: 90_000 }];
    let asked = 0;
    watch({ ...bus, lag: async () => lags[asked++] ?? { records: 0, oldestAgeMs: 0 } });
    await pass(3, () => hear('a', nowMs));
    assert.deepEqual([asked > 1, held], [true, []]);
  });

  it('calls nobody silent because the store or this process stood still', async () => {
    await hear('a', 1);
    let isDown = false;
    const query: Store['query'] = async (sql, params) => {
      if (isDown) throw new Transient('down');
      return await test.store.query(sql, params);
    };
    watch(bus, { ...test.store, query });
    await pass(2, () => hear('a', nowMs));
    isDown = true;
    await pass(10);
    isDown = false;
    assert.ok(held.includes('unreachable'));
    await pass(0.5);
    await hear('a', nowMs);
    await pass(2);
    nowMs += 8 * 3_600_000;
    await pass(0.5);
    await hear('a', nowMs);
    await pass(2);
    assert.deepEqual(await published(), []);
  });

  it('waits for tables that nobody has made yet', async () => {
    const query: Store['query'] = (sql, params) =>
      test.store.query(sql.replaceAll('heartbeat_events', 'not_yet_there'), params);
    watch(bus, { ...test.store, query });
    await pass(1);
    assert.ok(held.includes('no_tables'), `${held}`);
  });

  it('calls nobody silent because the bus took nothing, from probes or from here', async () => {
    await hear('a', 1);
    let isFull = true;
    const publish: Bus['publish'] = async (topic, messages) => {
      if (isFull) throw new Transient('full');
      await bus.publish(topic, messages);
    };
    watch({ ...bus, publish });
    await pass(8);
    assert.ok(held.includes('unreachable'));
    isFull = false;
    await pass(0.5);
    await hear('a', 2);
    await pass(2);
    assert.deepEqual(await published(), []);
  });

  it('tells of many at once with one alert', async () => {
    for (let node = 0; node < 12; node++) await hear(`n${node}`, 1);
    watch();
    await pass(6);
    const found = await published();
    assert.equal(found.length, 12);
    assert.equal(new Set(found.map(({ group_id }) => group_id)).size, 1);
  });
});
