import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Health } from '@bintrail/runtime/health.ts';
import { type Parts, partStates } from './part-states.ts';

const part = (health: Health) => ({ health: () => health });
const up = part({ state: 'up' });
const notify = { ...up, status: () => ({ webhook: 'set', waiting: 2 }) };
const statesOf = (more: Partial<Parts>) =>
  partStates({ mode: 'live', probe: undefined, ingest: up, detect: up, notify, nowMs: 100_000, ...more });

test('the probe is starting until it is heard of, up while it is, and degraded when it falls silent', () => {
  assert.deepEqual(statesOf({}).probe, { state: 'starting' });
  const heard = (atMs: number) => statesOf({ probe: { hooks: 'tracepoint', uncounted: null, atMs } }).probe;
  assert.deepEqual(heard(90_000), { state: 'up' });
  assert.deepEqual(heard(80_000), { state: 'degraded', detail: 'not heard of for 20 s' });
});

test('every part shows what it says of itself', () => {
  const trouble = { state: 'degraded', detail: '3 tries failed in 4 s, trying again' } as const;
  const states = statesOf({ ingest: part(trouble), detect: part({ state: 'down' }) });
  assert.deepEqual(states.ingest, trouble);
  assert.deepEqual(states.detect, { state: 'down' });
  assert.deepEqual(states.notify, { state: 'up', detail: 'webhook set, 2 waiting' });
  const late = statesOf({
    notify: { ...notify, ...part({ state: 'degraded', detail: 'the last post was refused: 500' }) },
  });
  assert.deepEqual(late.notify, {
    state: 'degraded',
    detail: 'webhook set, 2 waiting; the last post was refused: 500',
  });
});

test('a replay has a recording in place of a probe', () => {
  const states = statesOf({ mode: 'replay' });
  assert.equal(states.replay?.state, 'up');
  assert.equal('probe' in states, false);
});
