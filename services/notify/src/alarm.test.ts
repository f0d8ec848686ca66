import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAlarm, sleep } from './alarm.ts';

test('a ring ends a wait, however long, and one that comes before the wait is not lost', async () => {
  const alarm = createAlarm();
  for (const ms of [3_600_000, Number.POSITIVE_INFINITY]) {
    const waiting = alarm.wait(ms);
    alarm.ring();
    await waiting;
    alarm.ring();
    await alarm.wait(ms);
  }
});

test('a wait ends by itself, and a ring is heard once', async () => {
  const alarm = createAlarm();
  alarm.ring();
  await alarm.wait(3_600_000);
  const slept: number[] = [];
  const watched = createAlarm(async (ms) => void slept.push(ms));
  watched.ring();
  await watched.wait(5);
  await watched.wait(6);
  await watched.wait(0);
  assert.deepEqual(slept, [6]);
  await alarm.wait(1);
});

test('sleep ends when aborted, before or while it lasts', async () => {
  await sleep(3_600_000, AbortSignal.abort());
  const stop = new AbortController();
  const sleeping = sleep(3_600_000, stop.signal);
  stop.abort();
  await sleeping;
  await sleep(1, new AbortController().signal);
});
