import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type BatchHeader, encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { headerArbitrary, rowsArbitrary } from '@bintrail/schemas/event-rows.fixture.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import { exit } from '@bintrail/schemas/exit.ts';
import type { EventDefinition, RowOf } from '@bintrail/schemas/field.ts';
import fc from 'fast-check';
import { chunkOf, createGather } from './chunk.ts';
import { eventBlock, expandedSizeBytes } from './event-block.ts';
import { decoded, HEADER, openTestStore, shownRows, shownTable, sorted, type TestStore } from './store.fixture.ts';

const EXIT: RowOf<typeof exit> = {
  ts: 1n,
  cpu: 0,
  cpu_seq: 1n,
  pid: 1,
  self_exec_id: 1,
  start_ns: 1n,
  exit_code: 0,
  signal: 0,
  workload: 'host',
  container_id: '',
  image: '',
};

describe('eventBlock', () => {
  let test: TestStore;
  let inserts = 0;
  before(async () => {
    test = await openTestStore();
  });
  after(() => test.close());

  const stored = async (definition: EventDefinition, body: Uint8Array) => {
    await test.store.command(`TRUNCATE TABLE ${definition.table}`);
    inserts += 1;
    await test.store.insertNative(definition.table, body, `insert ${inserts}`);
    return await shownTable(test.store, definition);
  };

  for (const definition of Object.values(EVENTS) as EventDefinition[]) {
    it(`stores ${definition.name} rows of several messages as they were, and no view refuses them`, async () => {
      const message = fc.record({ header: headerArbitrary, rows: rowsArbitrary(definition, 20) });
      const property = fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 4 }), async (made) => {
        const messages = definition.engine === undefined ? made : onePerKey(definition, made);
        const batches = messages.map(({ header, rows }) => decoded(encodeBatch(definition, header, rows)));
        const gather = createGather();
        const gathered = batches.map((batch) => ({ ...batch, ...gather(definition, batch) }));
        const single = batches.map((batch) => ({ ...batch, ...chunkOf(definition, batch) }));
        const atMs = Date.now();
        const block = eventBlock(definition, gathered, atMs);
        assert.ok(block.equals(eventBlock(definition, single, atMs)), 'the same bytes, gathered or not');
        const expected = messages.flatMap(({ header, rows }) => shownRows(definition, header, rows, atMs));
        assert.deepEqual(await stored(definition, block), sorted(expected));
      });
      await fc.assert(property, { numRuns: 15 });
    });
  }

  for (const distinct of [1, 256, 257, 70_000]) {
    it(`merges dictionaries of two messages to ${distinct} distinct texts`, async () => {
      const text = (index: number) => `workload-${index % distinct}`;
      const rows = Array.from({ length: 70_000 }, (_, row) => ({
        ...EXIT,
        pid: row,
        workload: text(row),
        image: text(row * 7),
      }));
      const parts = [rows.slice(0, 40_000), rows.slice(40_000)];
      const batches = parts.map((part) => {
        const batch = decoded(encodeBatch(exit, HEADER, part));
        return { ...batch, ...chunkOf(exit, batch) };
      });
      const atMs = Date.now();
      const found = await stored(exit, eventBlock(exit, batches, atMs));
      assert.deepEqual(found, sorted(shownRows(exit, HEADER, rows, atMs)));
    });
  }
});

type Made = { header: BatchHeader; rows: RowOf<EventDefinition>[] };

/** Of a table that keeps one row of each key: which of several stays is another question. */
function onePerKey({ orderBy }: EventDefinition, messages: readonly Made[]): Made[] {
  const seen = new Set<string>();
  const kept = messages.map(({ header, rows }) => {
    const isNew = (row: Made['rows'][number]) => {
      const key = orderBy.map((name) => String({ ...header, ...row }[name as keyof BatchHeader])).join('\0');
      return !seen.has(key) && seen.add(key);
    };
    return { header, rows: rows.filter(isNew) };
  });
  return kept.filter(({ rows }) => rows.length > 0);
}

describe('expandedSizeBytes', () => {
  it('counts every text once a row', () => {
    const size = (rows: readonly RowOf<typeof exit>[]) =>
      expandedSizeBytes(exit, decoded(encodeBatch(exit, HEADER, rows)));
    const one = size([EXIT]);
    assert.equal(size(Array<RowOf<typeof exit>>(1000).fill(EXIT)), 1000 * one);
    assert.equal(size([EXIT, { ...EXIT, image: 'x'.repeat(500) }]), 2 * one + 500);
    const width = 8 * 3 + 4 * 5;
    assert.equal(one, width + 'host'.length);
  });
});
