import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRateLimit } from './rate-limit.ts';

describe('createRateLimit', () => {
  it('gives a burst, then the rate, however the asking is spread', () => {
    let nowMs = 0;
    const limit = createRateLimit(() => nowMs, 10, 5);
    let passed = 0;
    for (; nowMs < 10_000; nowMs += 7) if (limit.take('a') === 0) passed += 1;
    assert.ok(passed >= 100 && passed <= 105, `${passed} in 10 s`);
  });

  it('says how long to wait, and that is enough', () => {
    let nowMs = 0;
    const limit = createRateLimit(() => nowMs, 3, 1);
    assert.equal(limit.take('a'), 0);
    const waitMs = limit.take('a');
    assert.equal(waitMs, 334);
    nowMs += waitMs - 2;
    assert.ok(limit.take('a') > 0);
    nowMs += 2;
    assert.equal(limit.take('a'), 0);
  });

  it('keeps keys apart', () => {
    const limit = createRateLimit(() => 0, 1, 1);
    assert.equal(limit.take('a'), 0);
    assert.equal(limit.take('b'), 0);
    assert.ok(limit.take('a') > 0);
  });

  it('does not punish for a clock that was set back', () => {
    let nowMs = 1_000_000;
    const limit = createRateLimit(() => nowMs, 1, 2);
    assert.equal(limit.take('a'), 0);
    nowMs -= 500_000;
    assert.equal(limit.take('a'), 0);
    nowMs += 1000;
    assert.equal(limit.take('a'), 0);
  });

  it('forgets the keys that asked longest ago, not those that ask', () => {
    const limit = createRateLimit(() => 0, 1, 2);
    limit.take('busy');
    for (let key = 0; key < 20_000; key++) {
      limit.take(`made-up-${key}`);
      if (key % 5_000 === 0) limit.take('busy');
    }
    assert.ok(limit.take('busy') > 0);
    assert.equal(limit.take('made-up-0'), 0);
    assert.equal(limit.take('made-up-0'), 0);
  });
});
