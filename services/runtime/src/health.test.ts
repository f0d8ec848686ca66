import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchWork, worstOf } from './health.ts';

test('work is well until a try fails or it takes too long, and again once it is finished', () => {
  let nowMs = 0;
  const work = watchWork(() => nowMs);
  assert.deepEqual(work.health(), { state: 'up' });
  work.began(0);
  nowMs = 29_000;
  assert.deepEqual(work.health(), { state: 'up' });
  nowMs = 31_000;
  assert.deepEqual(work.health(), { state: 'degraded', detail: 'at the same work for 31 s (partition 0)' });
  work.failed(0);
  work.failed(0);
  assert.deepEqual(work.health(), { state: 'degraded', detail: '2 tries failed in 31 s (partition 0), trying again' });
  work.finished(0);
  nowMs = 99_000;
  assert.deepEqual(work.health(), { state: 'up' });
  work.began(0);
  assert.deepEqual(work.health(), { state: 'up' });
  work.ended();
  assert.deepEqual(work.health(), { state: 'down' });
});

test('a partition that is stuck is seen beside one that works, and until it is done or given away', () => {
  let nowMs = 0;
  const work = watchWork(() => nowMs);
  work.began(3);
  work.failed(3);
  for (nowMs = 1_000; nowMs < 60_000; nowMs += 1_000) {
    work.began(1);
    assert.equal(work.health().state, 'degraded');
    work.finished(1);
    assert.equal(work.health().state, 'degraded');
  }
  assert.match(work.health().detail ?? '', /^1 tries failed in 60 s \(partition 3\)/);
  work.finished(3);
  assert.deepEqual(work.health(), { state: 'up' });
});

test('several parts are as the worst of them', () => {
  const behind = { state: 'degraded', detail: 'behind' } as const;
  assert.deepEqual(worstOf([{ state: 'up' }, behind, { state: 'degraded', detail: 'other' }]), behind);
  assert.deepEqual(worstOf([behind, { state: 'down' }]), { state: 'down' });
  assert.deepEqual(worstOf([]), { state: 'up' });
});
