import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createGatherer } from './gatherer.ts';

const GATHER_MS = 50;
const MANY_BYTES = 4 * 1024 * 1024;

/** A ring whose records are taken whole, and a kernel that was told whether to ring. */
function openRing(context: TestContext, most = Infinity) {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const ring = { bytes: 0, takes: 0, rings: true };
  const gatherer = createGatherer({
    take: async () => {
      ring.takes += 1;
      ring.bytes = Math.max(0, ring.bytes - most);
    },
    backlogBytes: () => ring.bytes,
    setGathering: (on) => {
      ring.rings = !on;
    },
    onFatal: assert.ifError,
  });
  const pass = async (ms: number) => {
    context.mock.timers.tick(ms);
    for (let turns = 0; turns < 5; turns++) await Promise.resolve();
  };
  return { ring, gatherer, pass };
}

test('what comes while it gathers is taken on the timer, without a bell', async (context) => {
  const { ring, gatherer, pass } = openRing(context);
  await gatherer.look();
  for (let looks = 2; looks < 6; looks++) {
    assert.equal(ring.rings, false);
    ring.bytes = 100;
    await pass(GATHER_MS);
    assert.deepEqual([ring.takes, ring.bytes], [looks, 0]);
  }
});

test('the kernel rings for all once nothing comes, and then the timer rests', async (context) => {
  const { ring, gatherer, pass } = openRing(context);
  await gatherer.look();
  await pass(GATHER_MS);
  assert.equal(ring.rings, true);
  await pass(GATHER_MS);
  ring.bytes = 100;
  await pass(100 * GATHER_MS);
  assert.equal(ring.takes, 1, 'only a bell leads to another look');
  await gatherer.look();
  assert.deepEqual([ring.takes, ring.rings], [2, false]);
});

test('an event that just missed that the kernel may ring again is taken all the same', async (context) => {
  const { ring, gatherer, pass } = openRing(context);
  await gatherer.look();
  await pass(GATHER_MS);
  assert.equal(ring.rings, true);
  ring.bytes = 100;
  await pass(GATHER_MS);
  assert.deepEqual([ring.takes, ring.bytes, ring.rings], [2, 0, false]);
});

test('more than one look takes is gone on with at once', async (context) => {
  const { ring, gatherer, pass } = openRing(context, MANY_BYTES);
  ring.bytes = 3 * MANY_BYTES;
  await gatherer.look();
  await pass(1);
  await pass(1);
  assert.deepEqual([ring.takes, ring.bytes], [3, 0]);
});

test('once stopped it looks no more', async (context) => {
  const { ring, gatherer, pass } = openRing(context);
  await gatherer.look();
  await gatherer.stop();
  ring.bytes = 100;
  await pass(10 * GATHER_MS);
  assert.equal(ring.takes, 1);
});
