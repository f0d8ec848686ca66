import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createIntake, gatherOf } from './kafka-intake.ts';
import type { Arrival } from './kafka-member.ts';

const arrival = (askedFrom: number | undefined, sizes: Record<number, number>, next: number): Arrival => ({
  partition: 0,
  askedFrom,
  next,
  records: Object.entries(sizes).map(([offset, size]) => ({
    offset: Number(offset),
    key: 'k',
    publishedAtMs: 1_000 + Number(offset),
    value: new Uint8Array(size),
  })),
});
const wide = { maxRecords: 100, maxBytes: 1_000 };

test('what was not fetched from where the last fetch ended is refused, whatever offsets it holds', () => {
  const intake = createIntake(10);
  assert.equal(intake.accept(arrival(0, { 10: 1 }, 11)), false);
  assert.equal(intake.accept(arrival(10, { 12: 1, 15: 1 }, 16)), true);
  assert.equal(intake.accept(arrival(12, { 16: 1 }, 17)), false);
  assert.equal(intake.accept(arrival(20, { 20: 1 }, 21)), false);
  assert.equal(intake.next(), 16);
  assert.deepEqual(
    intake.take(16).map(({ offset }) => offset),
    [12, 15],
  );
  assert.equal(intake.begin(), 16);
});

test('a fetch of which compaction left nothing moves on, never back', () => {
  const intake = createIntake(5);
  assert.equal(intake.accept(arrival(undefined, {}, 9)), true);
  assert.equal(intake.next(), 9);
  assert.equal(intake.accept(arrival(undefined, {}, 7)), false);
  assert.equal(intake.next(), 9);
  assert.equal(intake.batchEnd(wide), undefined);
});

test('a batch ends by records, by bytes, or with what is here; its first record counts whatever its size', () => {
  const intake = createIntake(0);
  intake.accept(arrival(0, { 0: 60, 1: 50, 2: 500, 3: 1 }, 4));
  assert.equal(intake.batchEnd({ maxRecords: 100, maxBytes: 100 }), 1);
  assert.equal(intake.batchEnd({ maxRecords: 100, maxBytes: 110 }), 2);
  assert.equal(intake.batchEnd({ maxRecords: 3, maxBytes: 1_000 }), 3);
  assert.equal(intake.batchEnd(wide), 4);
  assert.equal(intake.oldestMs(), 1_000);
  intake.take(2);
  assert.equal(intake.batchEnd({ maxRecords: 100, maxBytes: 100 }), 3);
});

test('a batch that is not full waits for more, from when its oldest record came', () => {
  const intake = createIntake(0);
  const gather = { ...wide, gatherMs: 60_000 };
  assert.equal(intake.waitMs(gather), undefined);
  intake.accept(arrival(0, { 0: 60, 1: 50 }, 2));
  assert.equal(intake.waitMs(wide), 0);
  assert(intake.waitMs(gather)! > 0 && intake.waitMs(gather)! <= 60_000);
  assert.equal(intake.waitMs({ ...gather, maxRecords: 2 }), 0);
  assert.equal(intake.waitMs({ ...gather, maxBytes: 100 }), 0);
  intake.take(2);
  assert.equal(intake.waitMs(gather), undefined);
});

test('the more partitions one process has, the longer each gathers, up to a second', () => {
  const gathers = (gatherMs: number, partitions: number) => gatherOf({ gatherMs }, partitions);
  assert.deepEqual([gathers(200, 1), gathers(200, 4), gathers(200, 60), gathers(3_000, 4)], [200, 800, 1_000, 3_000]);
  assert.equal(gatherOf({}, 4), 0);
});

test('it says when more than so many batches are here, and forgets everything at a restart', () => {
  const intake = createIntake(0);
  intake.accept(arrival(0, { 0: 600, 1: 600 }, 2));
  assert.equal(intake.holds(1, wide), true);
  assert.equal(intake.holds(2, wide), false);
  intake.restart(7);
  assert.deepEqual([intake.begin(), intake.next(), intake.holds(0, wide)], [7, 7, false]);
});
