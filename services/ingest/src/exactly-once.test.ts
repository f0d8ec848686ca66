import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Plan } from '@bintrail/runtime/bus.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { type BatchHeader, encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { rowsArbitrary } from '@bintrail/schemas/event-rows.fixture.ts';
import { EVENTS, type EventName } from '@bintrail/schemas/events.ts';
import type { EventDefinition } from '@bintrail/schemas/field.ts';
import fc from 'fast-check';
import { createStoreEvents } from './events-stage.ts';
import { type AnyRow, expectedRollups, inOrder, type StoredEvent, storedRollups } from './rollups.fixture.ts';
import { HEADER, migrateTestStore, planOf, shownRows, shownTable, sorted, type TestStore } from './store.fixture.ts';

type TestMessage = { readonly type: EventName; readonly header: BatchHeader; readonly rows: readonly AnyRow[] };

/**
 * Where a run is cut off: at this insert, before or after the engine has stored it; and whether the process went on
 * living, with what it remembers.
 */
type Cut = { readonly insert: number; readonly stored: boolean; readonly survived: boolean };

const MAX_ROWS = 12;

const messageArbitrary = fc.constantFrom(...(Object.keys(EVENTS) as EventName[])).chain((type) =>
  fc
    .record({
      type: fc.constant(type),
      // Few numbers, so that repeats are usual.
      header: fc.nat({ max: 12 }).map((batchSeq) => ({ ...HEADER, batchSeq })),
      rows: rowsArbitrary(EVENTS[type] as EventDefinition, MAX_ROWS) as fc.Arbitrary<AnyRow[]>,
    })
    .map(withKeysOfTheirOwn),
);

/** Where a table keeps one row of a key, rows of a test are of different keys: how many there are must be known. */
function withKeysOfTheirOwn({ type, header, rows }: TestMessage): TestMessage {
  if ((EVENTS[type] as EventDefinition).engine === undefined) return { type, header, rows };
  return { type, header, rows: rows.map((row, index) => ({ ...row, pid: header.batchSeq * MAX_ROWS + index })) };
}

const cutArbitrary = fc.record({ insert: fc.nat({ max: 7 }), stored: fc.boolean(), survived: fc.boolean() });

function encoded({ type, header, rows }: TestMessage): Uint8Array {
  return encodeBatch(EVENTS[type] as EventDefinition, header, rows);
}

/** The first message of each number, over all plans. */
function storedOnce(messages: readonly TestMessage[]): TestMessage[] {
  const first = new Map<number, TestMessage>();
  for (const message of messages) if (!first.has(message.header.batchSeq)) first.set(message.header.batchSeq, message);
  return [...first.values()];
}

/** A process that stores plans, and dies and lives on as the cuts say. */
function cutOffProcess(store: Store): (plan: Plan, cuts: readonly Cut[]) => Promise<void> {
  let left = 0;
  let storesIt = false;
  const breaking: Store = {
    ...store,
    async insertNative(table, body, token) {
      left -= 1;
      if (left !== 0 || storesIt) await store.insertNative(table, body, token);
      if (left === 0) throw new Transient('cut off');
    },
  };
  let storeEvents = createStoreEvents(breaking);
  return async (plan, cuts) => {
    for (const { insert, stored, survived } of cuts) {
      left = insert + 1;
      storesIt = stored;
      await storeEvents(plan).then(undefined, onlyTransient);
      if (!survived) storeEvents = createStoreEvents(breaking);
    }
    left = 0;
    await storeEvents(plan);
  };
}

function onlyTransient(error: unknown): void {
  if (!(error instanceof Transient)) throw error;
}

const TABLES = [
  ...Object.values(EVENTS).map(({ table }) => table),
  'batches',
  'sightings',
  'sighting_nodes',
  'lineage',
  'coverage',
];

describe('a plan that is interrupted and run again', () => {
  let test: TestStore;
  let runs = 0;
  before(async () => {
    // Not one that was started again: until then a view changed in place goes by another token.
    test = await migrateTestStore();
  });
  after(() => test.close());

  const assertExact = async (messages: readonly TestMessage[], atMs: number) => {
    const once = storedOnce(messages);
    for (const [type, definition] of Object.entries(EVENTS) as [EventName, EventDefinition][]) {
      const ofType = once.filter((message) => message.type === type);
      const expected = ofType.flatMap(({ header, rows }) => shownRows(definition, header, rows, atMs));
      assert.deepEqual(await shownTable(test.store, definition), sorted(expected), definition.table);
    }
    const events = once.flatMap(({ type, header, rows }) => rows.map((row): StoredEvent => ({ type, header, row })));
    assert.deepEqual(inOrder(await storedRollups(test.store)), inOrder(expectedRollups(events)));
  };

  const assertBatches = async (messages: readonly TestMessage[]) => {
    const seen = new Set<number>();
    const expected = messages.map(({ type, header, rows }, offset) => {
      const repeat = seen.has(header.batchSeq) ? 1 : 0;
      seen.add(header.batchSeq);
      return { offset: `${offset}`, batch_seq: `${header.batchSeq}`, type, rows: rows.length, repeat };
    });
    const columns = 'offset, batch_seq, type, rows, repeat';
    assert.deepEqual(await test.store.query(`SELECT ${columns} FROM batches ORDER BY offset`), expected);
  };

  it('leaves every row and every sum exactly once, wherever it was cut off', async () => {
    const plans = fc.array(
      fc.record({
        messages: fc.array(messageArbitrary, { minLength: 1, maxLength: 8 }),
        cuts: fc.array(cutArbitrary, { maxLength: 4 }),
      }),
      { minLength: 1, maxLength: 3 },
    );
    const property = fc.asyncProperty(plans, async (parts) => {
      for (const table of TABLES) await test.store.command(`TRUNCATE TABLE ${table}`);
      runs += 1;
      const atMs = Date.now();
      let from = 0;
      const storeThroughCuts = cutOffProcess(test.store);
      for (const { messages, cuts } of parts) {
        const plan = planOf(messages.map(encoded), { from, atMs, busId: `bus ${runs}` });
        await storeThroughCuts(plan, cuts);
        await createStoreEvents(test.store)(plan);
        from = plan.to;
      }
      const messages = parts.flatMap((part) => part.messages);
      await assertExact(messages, atMs);
      await assertBatches(messages);
    });
    await fc.assert(property, { numRuns: 12 });
  });

  it('has each message of a probe once that died between the answer of the bus and that of its outbox', async () => {
    for (const table of TABLES) await test.store.command(`TRUNCATE TABLE ${table}`);
    const drawn = fc.sample(messageArbitrary, { numRuns: 4, seed: 1 });
    const sent = drawn.map((message, batchSeq) => ({ ...message, header: { ...message.header, batchSeq } }));
    // The next probe hands over what the file still holds: the last two came already.
    const again = sent.slice(1);
    const atMs = Date.now();
    const first = planOf(sent.slice(0, 3).map(encoded), { atMs, busId: 'crash' });
    await createStoreEvents(test.store)(first);
    await createStoreEvents(test.store)(planOf(again.map(encoded), { from: first.to, atMs, busId: 'crash' }));
    await assertExact(sent, atMs);
    await assertBatches([...sent.slice(0, 3), ...again]);
  });
});
