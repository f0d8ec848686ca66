import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import type { Plan } from '@bintrail/runtime/bus.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { blankRow } from '@bintrail/schemas/event-rows.fixture.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import type { RowOf } from '@bintrail/schemas/field.ts';
import { MAX_BLOCK_BYTES } from './messages.ts';
import { MAX_BLOCK_ROWS, type PlanOutcome, planBlocks, type TableBlock } from './plan-blocks.ts';
import { messageKey } from './repeats.ts';
import { HEADER, planOf } from './store.fixture.ts';

const { exec, exit, loss } = EVENTS;
const exits = (rows: number, facts: Partial<RowOf<typeof exit>> = {}) =>
  Array<RowOf<typeof exit>>(rows).fill(blankRow(exit, facts));
const exitMessage = (batchSeq: number, rows: number, facts: Partial<RowOf<typeof exit>> = {}) =>
  encodeBatch(exit, { ...HEADER, batchSeq }, exits(rows, facts));

type SentBlock = Omit<TableBlock, 'body'> & { readonly sizeBytes: number; readonly sha256: string };

function cut(plan: Plan, earlier: ReadonlySet<string> = new Set()): { blocks: SentBlock[]; outcome: PlanOutcome } {
  const generator = planBlocks(plan, earlier);
  const blocks: SentBlock[] = [];
  for (let step = generator.next(); ; step = generator.next()) {
    if (step.done) return { blocks, outcome: step.value };
    const { body, ...block } = step.value;
    blocks.push({ ...block, sizeBytes: body.length, sha256: createHash('sha256').update(body).digest('hex') });
  }
}

describe('planBlocks', () => {
  it('makes one block a table, and says last that they are stored', () => {
    const messages = [
      encodeBatch(loss, { ...HEADER, batchSeq: 0 }, [blankRow(loss)]),
      exitMessage(1, 3),
      encodeBatch(exec, { ...HEADER, batchSeq: 2 }, [blankRow(exec)]),
      exitMessage(3, 4),
    ];
    const { blocks, outcome } = cut(planOf(messages, { from: 10 }));
    assert.deepEqual(
      blocks.map(({ table, rows, token }) => [table, rows, token]),
      [
        ['exec_events', 1, 'bus:bintrail.events:0:10:14:exec_events'],
        ['exit_events', 7, 'bus:bintrail.events:0:10:14:exit_events'],
        ['loss_events', 1, 'bus:bintrail.events:0:10:14:loss_events'],
        ['batches', 4, 'bus:bintrail.events:0:10:14:batches'],
      ],
    );
    assert.deepEqual(outcome, { dead: [], rows: 9, repeats: 0 });
  });

  it('cuts what is too much for one block between messages, each block under its own token', () => {
    const rows = [65_536, 34_464, 1, 65_536, 65_536];
    const { blocks, outcome } = cut(planOf(rows.map((count, batchSeq) => exitMessage(batchSeq, count))));
    const token = 'bus:bintrail.events:0:0:5:exit_events';
    assert.deepEqual(
      blocks.map((block) => [block.token, block.rows]),
      [
        [token, MAX_BLOCK_ROWS],
        [`${token}:1`, 65_537],
        [`${token}:2`, 65_536],
        ['bus:bintrail.events:0:0:5:batches', 5],
      ],
    );
    assert.equal(
      outcome.rows,
      rows.reduce((sum, count) => sum + count),
    );
  });

  it('cuts by the bytes rows stand for, however small the messages are', () => {
    const image = 'x'.repeat(20_000);
    const messages = [0, 1, 2].map((batchSeq) => exitMessage(batchSeq, 1500, { image }));
    assert.ok(messages.every((message) => message.length < 25_000));
    const { blocks } = cut(planOf(messages));
    assert.deepEqual(
      blocks.map(({ rows }) => rows),
      [3000, 1500, 3],
    );
  });

  it('puts aside a message whose rows stand for more than a block holds', () => {
    const image = 'x'.repeat(MAX_BLOCK_BYTES / 65_536);
    const messages = [exitMessage(0, 65_536, { image }), exitMessage(0, 1)];
    const { blocks, outcome } = cut(planOf(messages));
    assert.deepEqual(
      outcome.dead.map(({ record, reason }) => [record.offset, reason]),
      [[0, 'too_large']],
    );
    assert.deepEqual(
      blocks.map(({ table, rows }) => [table, rows]),
      [
        ['exit_events', 1],
        ['batches', 1],
      ],
    );
  });

  it('puts aside what is no message, with the reason, and stores the rest', () => {
    const whole = exitMessage(1, 2);
    const messages = [Buffer.from('{}'), whole, whole.subarray(0, -1), new Uint8Array(0)];
    const { blocks, outcome } = cut(planOf(messages, { from: 5 }));
    assert.deepEqual(
      outcome.dead.map(({ record, reason }) => [record.offset, record.value, reason]),
      [
        [5, messages[0], 'wrong_type'],
        [7, messages[2], 'truncated'],
        [8, messages[3], 'truncated'],
      ],
    );
    assert.deepEqual(
      blocks.map(({ rows }) => rows),
      [2, 1],
    );
  });

  it('makes no block of a plan without messages', () => {
    assert.deepEqual(cut(planOf([Buffer.from('x')])).blocks, []);
  });

  it('stores the first of equal messages, in the plan or before it', () => {
    const messages = [exitMessage(0, 1), exitMessage(1, 2), exitMessage(1, 2), exitMessage(2, 4)];
    const earlier = new Set([messageKey({ ...HEADER, batchSeq: 0 })]);
    const { blocks, outcome } = cut(planOf(messages), earlier);
    assert.deepEqual(
      blocks.map(({ table, rows }) => [table, rows]),
      [
        ['exit_events', 6],
        ['batches', 4],
      ],
    );
    assert.deepEqual(outcome, { dead: [], rows: 6, repeats: 2 });
  });

  it('does not count a refused message as the first', () => {
    const whole = exitMessage(1, 2);
    const { outcome } = cut(planOf([whole.subarray(0, -1), whole]));
    assert.equal(outcome.rows, 2);
    assert.equal(outcome.repeats, 0);
  });

  it('tells apart messages of other nodes, boots, runs and numbers', () => {
    const headers = [
      HEADER,
      { ...HEADER, node: 'node-2' },
      { ...HEADER, boot: 'boot-2' },
      { ...HEADER, probeEpoch: 1n },
      { ...HEADER, batchSeq: 1 },
    ];
    const { outcome } = cut(planOf(headers.map((header) => encodeBatch(exit, header, exits(1)))));
    assert.deepEqual(outcome, { dead: [], rows: 5, repeats: 0 });
  });

  it('makes the same blocks of the same plan, and others of another', () => {
    const messages = [exitMessage(0, 65_536), exitMessage(1, 65_536), exitMessage(2, 3)];
    const plan = planOf(messages);
    const again = { ...plan, records: plan.records.map((record) => ({ ...record, value: record.value.slice() })) };
    const { blocks } = cut(plan);
    assert.deepEqual(cut(again).blocks, blocks);
    for (const other of [{ busId: 'other' }, { topic: 'other' }, { partition: 1 }, { from: 1 }, { to: 9 }]) {
      const tokens = new Set(cut({ ...plan, ...other }).blocks.map(({ token }) => token));
      assert.ok(blocks.every(({ token }) => !tokens.has(token)));
    }
    assert.equal(new Set(blocks.map(({ token }) => token)).size, blocks.length);
    const later = cut({ ...plan, atMs: plan.atMs + 1 }).blocks;
    assert.ok(blocks.every(({ sha256 }, index) => sha256 !== later[index]!.sha256));
  });

  it('reads no further than the block it hands out: tiny messages may stand for a hundred million rows', () => {
    const messages = Array.from({ length: 9 }, (_, batchSeq) => exitMessage(batchSeq, 65_536));
    const plan = planOf(messages);
    let read = 0;
    const records = plan.records.map((record, index) => ({
      ...record,
      get value() {
        read = Math.max(read, index + 1);
        return record.value;
      },
    }));
    const readAtBlocks = [];
    for (const { table } of planBlocks({ ...plan, records }, new Set())) readAtBlocks.push([table, read]);
    const exits = [2, 3, 4, 5, 6, 7, 8, 9, 9].map((count) => ['exit_events', count]);
    assert.deepEqual(readAtBlocks, [...exits, ['batches', 9]]);
  });
});
