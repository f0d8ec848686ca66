import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Transient } from './errors.ts';
import { backoffMs, retry } from './retry.ts';

const QUICK = { baseMs: 1, capMs: 2 };

/** Fails with each of these in turn, then answers. */
function failing(...errors: Error[]): () => Promise<string> {
  return async () => {
    const error = errors.shift();
    if (error !== undefined) throw error;
    return 'the answer';
  };
}

test('what is broken for now is tried again, and told each time', async () => {
  const told: string[] = [];
  const work = failing(new Transient('away'), new Transient('still away'));
  assert.equal(await retry(work, QUICK, undefined, ({ message }) => told.push(message)), 'the answer');
  assert.deepEqual(told, ['away', 'still away']);
});

test('anything else is not tried again', async () => {
  const bug = new TypeError('a bug');
  const rejected = retry(failing(new Transient('away'), bug), QUICK, undefined, () => {});
  await assert.rejects(rejected, (error) => error === bug);
});

test('a wait ends with the reason of the signal', async () => {
  const stop = new AbortController();
  const reason = new Error('stopped');
  const waitsLong = new Transient('away', { retryAfterMs: 3_600_000 });
  const rejected = retry(failing(waitsLong), QUICK, stop.signal, () => stop.abort(reason));
  await assert.rejects(rejected, (error) => error === reason);
});

test('backoff doubles up to its cap, jitter takes at most half, and the dependency has the last word', () => {
  const limits = { baseMs: 100, capMs: 30_000 };
  assert.deepEqual(
    [0, 1, 2, 8, 9, 2_000].map((attempt) => backoffMs(attempt, 0, limits, 0)),
    [100, 200, 400, 25_600, 30_000, 30_000],
  );
  assert.equal(backoffMs(3, 0, limits, 1), 400);
  assert.equal(backoffMs(0, 5_000, limits, 0.5), 5_000);
  assert.equal(backoffMs(20, 5_000, limits, 0), 30_000);
  assert.equal(backoffMs(0, Number.POSITIVE_INFINITY, limits, 0), 2_147_483_647);
});
