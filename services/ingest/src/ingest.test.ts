import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics } from '@bintrail/runtime/metrics.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { type Store, StoreError } from '@bintrail/runtime/store.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { blankRow } from '@bintrail/schemas/event-rows.fixture.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import { createIngest } from './ingest.ts';
import { HEADER, openTestStore, type TestStore } from './store.fixture.ts';

const { exit, loss } = EVENTS;
const log = createLog({ level: 'silent', name: 'test' });
const exits = (batchSeq: number, rows: number) => ({
  key: 'node-1',
  value: encodeBatch(exit, { ...HEADER, batchSeq }, Array(rows).fill(blankRow(exit))),
});

describe('createIngest', () => {
  let test: TestStore;
  let dir: string;
  let bus: Bus;
  before(async () => {
    test = await openTestStore();
  });
  after(() => test.close());
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'bintrail-ingest-'));
    bus = openSqliteBus({ path: join(dir, 'bus.db'), compactedTopics: [] });
    for (const table of ['exit_events', 'loss_events', 'batches']) await test.store.command(`TRUNCATE TABLE ${table}`);
  });
  afterEach(async () => {
    await bus.close();
    rmSync(dir, { recursive: true });
  });

  const counts = async () => {
    const [row] = await test.store.query(`SELECT toUInt32((SELECT count() FROM exit_events)) AS exits,
      toUInt32((SELECT count() FROM loss_events)) AS losses, toUInt32((SELECT count() FROM batches)) AS batches`);
    return row;
  };

  /** Resolves when the group has acknowledged everything there is. */
  const drained = async (topic: string, group: string) => {
    while ((await bus.lag(topic, group)).records > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  };

  const ingest = (store: Store) => {
    const metrics = createMetrics('');
    const stage = createIngest({ bus, store, log, metrics, backoff: { baseMs: 1, capMs: 5 } });
    return { ...stage, metrics };
  };

  it('stores what is on the bus and puts aside what is no message', async () => {
    const bad = { key: 'node-1', value: Buffer.from('no message') };
    await bus.publish('bintrail.events', [exits(0, 3), bad, exits(0, 3)]);
    await bus.publish('bintrail.events', [
      { key: 'node-1', value: encodeBatch(loss, { ...HEADER, batchSeq: 1 }, [blankRow(loss)]) },
    ]);
    await bus.publish('bintrail.findings', [{ key: 'x', value: Buffer.from('{}') }]);
    const { close, done, metrics } = ingest(test.store);
    await drained('bintrail.events', 'ingest');
    await drained('bintrail.findings', 'ingest-findings');
    await close();
    await done;
    assert.deepEqual(await counts(), { exits: 3, losses: 1, batches: 3 });
    const dead: unknown[] = [];
    const follower = await bus.follow('bintrail.dead', (records) => {
      for (const { key, value: bytes } of records) {
        const value = Buffer.from(bytes);
        dead.push([key, ...['wrong_type', 'not_a_finding', 'no message', '{}'].filter((word) => value.includes(word))]);
      }
    });
    await follower.close();
    assert.deepEqual(dead.sort(), [
      ['bintrail.events:0:1', 'wrong_type', 'no message'],
      ['bintrail.findings:0:0', 'not_a_finding', '{}'],
    ]);
    assert.match((await metrics.text()).body, /^ingest_repeats_total 1$/m);
  });

  it('keeps a plan while the store is away, and stores it once', async () => {
    // What becomes of each insert in turn, the exits before the batches in every try.
    const fates = ['refused', 'stored', 'refused', 'stored', 'lost', 'lost', 'stored', 'refused'];
    const failing: Store = {
      ...test.store,
      async insertNative(table, body, token) {
        const fate = fates.shift();
        if (fate === 'refused') throw new Transient('away');
        await test.store.insertNative(table, body, token);
        if (fate === 'lost') throw new Transient('the answer was lost');
      },
    };
    await bus.publish('bintrail.events', [exits(0, 3), exits(1, 4)]);
    const { close, done } = ingest(failing);
    await drained('bintrail.events', 'ingest');
    await close();
    await done;
    assert.deepEqual(fates, []);
    assert.deepEqual(await counts(), { exits: 7, losses: 0, batches: 2 });
  });

  it('ends when the store refuses for good, and leaves everything on the bus', async () => {
    const refusing: Store = {
      ...test.store,
      insertNative: () => Promise.reject(new StoreError('no such table', 60)),
    };
    await bus.publish('bintrail.events', [exits(0, 3)]);
    await assert.rejects(ingest(refusing).done, StoreError);
    assert.equal((await bus.lag('bintrail.events', 'ingest')).records, 1);
    const { close, done } = ingest(test.store);
    await drained('bintrail.events', 'ingest');
    await close();
    await done;
    assert.deepEqual(await counts(), { exits: 3, losses: 0, batches: 1 });
  });
});
