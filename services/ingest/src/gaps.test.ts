import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type BatchHeader, encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { blankRow } from '@bintrail/schemas/event-rows.fixture.ts';
import { exit } from '@bintrail/schemas/exit.ts';
import fc from 'fast-check';
import { createStoreEvents } from './events-stage.ts';
import { batchGaps } from './gaps.ts';
import { HEADER, openTestStore, planOf, type TestStore } from './store.fixture.ts';

const HOUR_MS = 3_600_000;
const START_MS = Date.now() - 48 * HOUR_MS;
const RECENT: BatchHeader = { ...HEADER, probeEpoch: BigInt(START_MS) };

describe('batchGaps', () => {
  let test: TestStore;
  let from = 0;
  before(async () => {
    test = await openTestStore();
  });
  after(() => test.close());
  beforeEach(() => test.store.command('TRUNCATE TABLE batches'));

  /** Stores messages of one run, `hour` hours after the start. */
  const stored = async (hour: number, seqs: readonly number[], header = RECENT) => {
    const messages = seqs.map((batchSeq) => encodeBatch(exit, { ...header, batchSeq }, [blankRow(exit)]));
    await createStoreEvents(test.store)(planOf(messages, { from, atMs: START_MS + hour * HOUR_MS }));
    from += messages.length;
  };
  const gaps = async (sinceHour: number, untilHour: number) => {
    const window = { sinceMs: START_MS + sinceHour * HOUR_MS, untilMs: START_MS + untilHour * HOUR_MS };
    const found = await batchGaps(test.store, window);
    return found.map(({ firstSeq, missing, noticedAtMs }) => [firstSeq, missing, (noticedAtMs - START_MS) / HOUR_MS]);
  };

  it('are none where every message came, in any order and repeated', async () => {
    await stored(1, [1, 0, 3, 3]);
    await stored(2, [2, 5, 4, 0]);
    assert.deepEqual(await gaps(0, 9), []);
    assert.deepEqual(await gaps(2, 3), []);
  });

  it('are told with their place, their size and when they were noticed', async () => {
    await stored(1, [0, 1, 5]);
    await stored(2, [6, 9]);
    assert.deepEqual(await gaps(0, 9), [
      [2, 3, 1],
      [7, 2, 2],
    ]);
    const [gap] = await batchGaps(test.store, { sinceMs: START_MS, untilMs: START_MS + 9 * HOUR_MS });
    const { node, boot, probeEpoch } = RECENT;
    assert.deepEqual(gap, { node, boot, probeEpoch, firstSeq: 2, missing: 3, noticedAtMs: START_MS + HOUR_MS });
  });

  it('belong to the window in which the next message came', async () => {
    await stored(1, [0, 1]);
    await stored(3, [7]);
    await stored(5, [8]);
    assert.deepEqual(await gaps(0, 3), []);
    assert.deepEqual(await gaps(3, 4), [[2, 5, 3]]);
    assert.deepEqual(await gaps(4, 9), []);
  });

  it('shrink and close when a message comes late', async () => {
    await stored(1, [0, 4]);
    await stored(2, [2]);
    assert.deepEqual(await gaps(0, 2), [[3, 1, 1]]);
    assert.deepEqual(await gaps(0, 9), [
      [3, 1, 1],
      [1, 1, 2],
    ]);
    await stored(3, [3, 1]);
    assert.deepEqual(await gaps(0, 2), []);
    assert.deepEqual(await gaps(0, 9), []);
  });

  it('show at the beginning of a run, but not of one that began before anything is kept', async () => {
    await stored(1, [3]);
    await stored(1, [70], { ...RECENT, probeEpoch: BigInt(Date.now() - 91 * 24 * HOUR_MS) });
    assert.deepEqual(await gaps(0, 9), [[0, 3, 1]]);
  });

  it('are seen for each run of each probe by itself', async () => {
    await stored(1, [0, 2]);
    await stored(1, [1, 0], { ...RECENT, node: 'other' });
    await stored(1, [0, 1], { ...RECENT, boot: 'other' });
    await stored(1, [0, 3], { ...RECENT, probeEpoch: RECENT.probeEpoch + 1n });
    assert.deepEqual(await gaps(0, 9), [
      [1, 1, 1],
      [1, 2, 1],
    ]);
  });

  it('are exactly the numbers that never came', async () => {
    const hours = fc.array(fc.uniqueArray(fc.nat({ max: 30 }), { minLength: 1, maxLength: 12 }), {
      minLength: 1,
      maxLength: 4,
    });
    const property = fc.asyncProperty(hours, async (parts) => {
      await test.store.command('TRUNCATE TABLE batches');
      for (const [hour, seqs] of parts.entries()) await stored(hour, seqs);
      const found = (await gaps(0, 9)).flatMap(([first, count]) =>
        Array.from({ length: count! }, (_, n) => first! + n),
      );
      const came = new Set(parts.flat());
      const missing = Array.from({ length: Math.max(...came) }, (_, seq) => seq).filter((seq) => !came.has(seq));
      assert.deepEqual(
        found.sort((a, b) => a - b),
        missing,
      );
    });
    await fc.assert(property, { numRuns: 15 });
  });
});
