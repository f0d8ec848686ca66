import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Transient } from '@bintrail/runtime/errors.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { blankRow } from '@bintrail/schemas/event-rows.fixture.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import { createStoreEvents } from './events-stage.ts';
import { createMessageReader, MAX_BLOCK_BYTES, readMessage } from './messages.ts';
import { planBlocks } from './plan-blocks.ts';
import { HEADER, planOf } from './store.fixture.ts';

const { exec, exit, loss } = EVENTS;
const MIXED = [
  encodeBatch(exec, HEADER, [blankRow(exec)]),
  encodeBatch(exit, { ...HEADER, batchSeq: 1 }, [blankRow(exit)]),
  encodeBatch(loss, { ...HEADER, batchSeq: 2 }, [blankRow(loss)]),
];

/** A store whose inserts take a moment; `insert` may fail one. */
function slowStore(insert: (table: string) => void = () => {}) {
  const running = new Set<string>();
  const seen: { table: string; beside: string[] }[] = [];
  const store = {
    query: async () => [],
    async insertNative(table: string) {
      seen.push({ table, beside: [...running] });
      running.add(table);
      await delay(5);
      running.delete(table);
      insert(table);
    },
  };
  return { store: store as unknown as Store, running, seen };
}

test('tables are stored two at a time, and what says so comes after all of them, alone', async () => {
  const { store, seen } = slowStore();
  await createStoreEvents(store)(planOf(MIXED));
  assert.deepEqual(
    seen.map(({ table }) => table),
    ['exec_events', 'exit_events', 'loss_events', 'batches'],
  );
  assert.deepEqual(seen[1]?.beside, ['exec_events']);
  assert.ok(seen.every(({ beside }) => beside.length < 2));
  assert.deepEqual(seen.at(-1)?.beside, []);
});

test('no insert is left running when one fails, and nothing says that the rows are stored', async () => {
  const { store, running, seen } = slowStore((table) => {
    if (table === 'exec_events') throw new Transient('away');
  });
  await assert.rejects(createStoreEvents(store)(planOf(MIXED)), Transient);
  assert.deepEqual([...running], []);
  assert.ok(seen.every(({ table }) => table !== 'batches'));
});

test('what was decoded ahead is taken once, and says the same as what is decoded then', () => {
  const messages = createMessageReader();
  const [record] = planOf(MIXED).records;
  const facts = (message: ReturnType<typeof readMessage>) =>
    'reason' in message ? message : [message.header, message.sizeBytes, message.span.rows];
  messages.prepare([record!]);
  const ahead = messages.peek(record!);
  assert.deepEqual(facts(ahead!), facts(readMessage(record!)));
  assert.equal(messages.read(record!), ahead);
  assert.equal(messages.peek(record!), undefined);
  assert.deepEqual(facts(messages.read(record!)), facts(ahead!));
});

test('messages decoded one after the other make the very blocks that each decoded by itself makes', () => {
  const small = [1, 7, 2, 30].map((rows, n) =>
    encodeBatch(exit, { ...HEADER, batchSeq: n }, Array(rows).fill(blankRow(exit, { image: `image ${n}`, pid: n }))),
  );
  const plan = planOf([...MIXED, ...small]);
  const messages = createMessageReader();
  messages.prepare(plan.records);
  const together = [...planBlocks(plan, new Set(), messages.read)];
  assert.deepEqual(together, [...planBlocks(plan, new Set())]);
});

test('decoding ahead stops before messages that stand for many rows fill the memory', () => {
  const messages = createMessageReader();
  const row = blankRow(exit, { image: 'x'.repeat(900) });
  const large = encodeBatch(exit, HEADER, Array(60_000).fill(row));
  const { records } = planOf(Array(8).fill(large));
  messages.prepare(records);
  const decoded = records.filter((record) => messages.peek(record) !== undefined);
  assert.ok(decoded.length >= 2 && decoded.length <= 3, `${decoded.length} of ${MAX_BLOCK_BYTES} bytes each`);
  for (const record of records.slice(1)) messages.read(record);
  messages.forget(records);
  assert.equal(messages.peek(records[0]!), undefined);
  messages.prepare(records.slice(0, 1));
  assert.notEqual(messages.peek(records[0]!), undefined);
});
