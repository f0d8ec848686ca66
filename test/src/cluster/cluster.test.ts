import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { openTestApi, startParts } from '@bintrail/api/api.fixture.ts';
import { createStoreEvents } from '@bintrail/ingest/events-stage.ts';
import { inOrder, storedRollups } from '@bintrail/ingest/rollups.fixture.ts';
import { MIGRATIONS, openTestStore, planOf, shownTable, type TestStore } from '@bintrail/ingest/store.fixture.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import { readMigrations } from '@bintrail/runtime/migrate.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { rowsArbitrary } from '@bintrail/schemas/event-rows.fixture.ts';
import { EVENTS, type EventName } from '@bintrail/schemas/events.ts';
import type { EventDefinition } from '@bintrail/schemas/field.ts';
import { rowsOf, unpackRecording } from '@bintrail/standalone/replay-recording.ts';
import fc from 'fast-check';
import { type Shards, startShards } from './shards.ts';

const SAMPLE = new URL('../../../services/standalone/sample/sample.cbor.zst', import.meta.url);
const SEED = 7;
const NODES = 12;
const MESSAGES_A_PLAN = 40;
const PLANS = 4;
const MAX_ROWS = 20;

/** Messages of several nodes, each numbered by its own node. */
function messages(plan: number): Uint8Array[] {
  const names = Object.keys(EVENTS) as EventName[];
  return Array.from({ length: MESSAGES_A_PLAN }, (_, index) => {
    const serial = plan * MESSAGES_A_PLAN + index;
    const definition: EventDefinition = EVENTS[names[serial % names.length]!];
    const [sampled] = fc.sample(rowsArbitrary(definition, MAX_ROWS), { seed: SEED + serial, numRuns: 1 });
    // A table that keeps one row of each key does so when it merges: here each row has its own.
    const ofOwnKey = (row: object, at: number) => ({ ...row, pid: serial * MAX_ROWS + at }) as never;
    const rows = definition.engine === undefined ? sampled! : sampled!.map(ofOwnKey);
    const run = { boot: 'boot', probeEpoch: 1n, batchSeq: Math.floor(serial / NODES) };
    return encodeBatch(definition, { ...run, node: `node-${serial % NODES}` }, rows);
  });
}

/** Gives up before its `left`-th insert. */
function failing(store: Store, left: number): Store {
  let inserts = 0;
  const insertNative: Store['insertNative'] = async (table, body, token) => {
    inserts += 1;
    if (inserts === left) throw new Transient('cut off');
    await store.insertNative(table, body, token);
  };
  return { ...store, insertNative };
}

/** Events of the recorded sample, as if five nodes had sent them. */
function recorded(): Uint8Array[] {
  return unpackRecording(readFileSync(SAMPLE)).map((batch, index) => {
    const header = { boot: 'boot', probeEpoch: 2n, batchSeq: Math.floor(index / 5), node: `recorded-${index % 5}` };
    return encodeBatch<EventDefinition>(EVENTS[batch.type], header, rowsOf(batch));
  });
}

const SINCE = 'since=2026-01-01T00:00:00Z&until=2027-01-01T00:00:00Z';

/** What the api says of everything, through each of these connections: at one time, as a silence grows with it. */
async function answers(stores: readonly Store[]): Promise<unknown[][]> {
  const parts = await startParts();
  const apis = await Promise.all(stores.map((store) => openTestApi({ ...parts, store })));
  const ask = async (path: string) => {
    const asked = `${path}${path.includes('?') ? '&' : '?'}${SINCE}`;
    return (await Promise.all(apis.map((api) => api.ask(asked)))).map(({ json }) => json);
  };
  const binaries = await ask('/v1/binaries?workload=session/deploy&limit=20');
  const events = await ask('/v1/events?type=exec&limit=20');
  const { sha256 } = binaries[0].items[0];
  const others = ['/v1/workloads', '/v1/workloads/session%2Fdeploy/profile', '/v1/coverage', `/v1/binaries/${sha256}`];
  const all = [binaries, events];
  // One after the other: what is tried here is the answer, not how many a small machine can give at once.
  for (const path of [...others, `/v1/events?sha256=${sha256}`]) all.push(await ask(path));
  await Promise.all(apis.map((api) => api.close()));
  await parts.stop();
  return stores.map((_, at) => all.map((each) => each[at]));
}

describe('a cluster of two shards', () => {
  let single: TestStore;
  let shards: Shards;
  before(async () => {
    single = await openTestStore();
    shards = await startShards(readMigrations(MIGRATIONS));
    for (let plan = 0, from = 0; plan < PLANS; plan++) {
      const values = plan === 0 ? [...messages(plan), ...recorded()] : messages(plan);
      const batch = planOf(values, { from });
      await createStoreEvents(single.store)(batch);
      // A copy of ingest that dies half-way, one on another server that does all of it, and one that does it again.
      const [here, there] = plan % 2 === 0 ? shards.stores : shards.stores.toReversed();
      await assert.rejects(createStoreEvents(failing(here!, 2 + plan))(batch), Transient);
      await createStoreEvents(there!)(batch);
      await createStoreEvents(here!)(batch);
      from = batch.to;
    }
  });
  after(async () => {
    await shards.close();
    await single.close();
  });

  it('holds every row once, whichever server took the insert, and however often', async () => {
    for (const definition of Object.values(EVENTS) as EventDefinition[]) {
      const expected = await shownTable(single.store, definition);
      assert.ok(expected.length > 0, definition.table);
      for (const store of shards.stores) assert.deepEqual(await shownTable(store, definition), expected);
    }
  });

  it('adds up to the same roll-ups', async () => {
    const expected = inOrder(await storedRollups(single.store));
    for (const store of shards.stores) assert.deepEqual(inOrder(await storedRollups(store)), expected);
  });

  it('answers an analyst as one server does', async () => {
    const [here, there] = await answers([single.store, shards.stores[1]!]);
    assert.ok(here!.length > 5);
    assert.deepEqual(there, here);
  });

  it('keeps what one node sent on one shard, and something on each', async () => {
    const placed = 'SELECT node, count() AS n FROM exec_events_local GROUP BY node ORDER BY node';
    const [first, second] = await Promise.all(shards.stores.map((store) => store.query<{ node: string }>(placed)));
    const names = [...first!, ...second!].map(({ node }) => node);
    assert.ok(first!.length > 0 && second!.length > 0);
    assert.equal(new Set(names).size, names.length);
  });
});
