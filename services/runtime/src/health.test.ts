import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchWork, worstOf } from './health.ts';

test('work is well until a try fails or it takes too long, and again once it is finished', () => {
  let nowMs = 0;
  const work = watchWork(() => nowMs);
  assert.deepEqual(work.health(), { state: 'up' });
  work.began();
  nowMs = 29_000;
  assert.deepEqual(work.health(), { state: 'up' });
  nowMs = 31_000;
  assert.deepEqual(work.health(), { state: 'degraded', detail: 'at the same work for 31 s' });
  work.failed();
  work.failed();
  assert.deepEqual(work.health(), { state: 'degraded', detail: '2 tries failed in 31 s, trying again' });
  work.finished();
  nowMs = 99_000;
  assert.deepEqual(work.health(), { state: 'up' });
  work.began();
  assert.deepEqual(work.health(), { state: 'up' });
  work.ended();
  assert.deepEqual(work.health(), { state: 'down' });
});

test('several parts are as the worst of them', () => {
  const behind = { state: 'degraded', detail: 'behind' } as const;
  assert.deepEqual(worstOf([{ state: 'up' }, behind, { state: 'degraded', detail: 'other' }]), behind);
  assert.deepEqual(worstOf([behind, { state: 'down' }]), { state: 'down' });
  assert.deepEqual(worstOf([]), { state: 'up' });
});
