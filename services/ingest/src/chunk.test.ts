import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { blankRow, rowsArbitrary } from '@bintrail/schemas/event-rows.fixture.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import type { EventDefinition } from '@bintrail/schemas/field.ts';
import fc from 'fast-check';
import { chunkOf, createGather, joinSpans } from './chunk.ts';
import { eventBlock } from './event-block.ts';
import { decoded, HEADER } from './store.fixture.ts';

const { exec, exit } = EVENTS;
const AT_MS = 1_790_000_000_000;
const batchOf = (definition: EventDefinition, rows: readonly object[]) =>
  decoded(encodeBatch(definition, HEADER, rows as never));

/** What was gathered for `batches`, of which only some go into the block, against the same without gathering. */
function assertSame(definition: EventDefinition, batches: readonly Batch[], isIn: (index: number) => boolean): void {
  const gather = createGather();
  const gathered = batches.map((batch) => ({ ...batch, ...gather(definition, batch) }));
  const single = batches.map((batch) => ({ ...batch, ...chunkOf(definition, batch) }));
  const block = eventBlock(
    definition,
    gathered.filter((_, index) => isIn(index)),
    AT_MS,
  );
  assert.ok(
    block.equals(
      eventBlock(
        definition,
        single.filter((_, index) => isIn(index)),
        AT_MS,
      ),
    ),
  );
}

test('a block of gathered messages has the same bytes, also where some of them are left out', () => {
  const messages = fc.array(rowsArbitrary(exec, 12), { minLength: 2, maxLength: 8 });
  fc.assert(
    fc.property(messages, fc.integer({ min: 0, max: 7 }), (all, leftOut) => {
      const batches = all.map((rows) => batchOf(exec, rows));
      assertSame(exec, batches, (index) => index !== leftOut % all.length);
    }),
    { numRuns: 30 },
  );
});

test('chunks grow, end, and begin anew, beside messages that are too large to gather', () => {
  let pid = 0;
  const rows = (count: number) =>
    Array.from({ length: count }, () => {
      pid += 1;
      return blankRow(exit, { pid, workload: `w${pid % 700}`, image: pid % 3 === 0 ? `i${pid}` : '' });
    });
  const sizes = Array.from({ length: 400 }, (_, n) => (n % 97 === 96 ? 1_000 : 1 + ((n * 53) % 200)));
  const batches = sizes.map((size) => batchOf(exit, rows(size)));
  assertSame(exit, batches, () => true);
  assertSame(exit, batches, (index) => index % 5 !== 0);
});

test('spans that follow on one another are one', () => {
  const [one, other] = [{ columns: [] }, { columns: [] }];
  const spans = [
    { chunk: one, from: 0, rows: 3 },
    { chunk: one, from: 3, rows: 2 },
    { chunk: one, from: 6, rows: 1 },
    { chunk: other, from: 7, rows: 1 },
  ];
  assert.deepEqual(joinSpans(spans), [{ chunk: one, from: 0, rows: 5 }, spans[2], spans[3]]);
});
