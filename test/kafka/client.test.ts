import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { COMPACTED, hold, message, newLocation, openFor, take, wide } from '@bintrail/runtime/bus.contract.kit.ts';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { ensureTopics } from '@bintrail/runtime/kafka-topics.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { connectionOf, open } from './contract.adapter.ts';
import { kafkaForTests } from './for-tests.ts';

await kafkaForTests();
const adapter = { name: 'kafka', open, module: new URL('./contract.adapter.ts', import.meta.url), takesOver: false };

test('a topic that is not there is a matter of set-up, and named', async (t) => {
  const bus = await openFor(t, adapter, await newLocation());
  await assert.rejects(bus.publish('nowhere', [message('k', 'a')]), SetupError);
});

test('a client with nothing to do leaves its queues of requests alone', async (t) => {
  const bus = await openFor(t, adapter, await newLocation());
  hold(bus, { topic: 't', group: 'g', ...wide });
  await Promise.all(Array.from({ length: 20 }, (_, n) => bus.publish('t', [message(`${n}`, 'x')])));
  await Promise.all(Array.from({ length: 20 }, () => bus.lag('t', 'g')));
  await delay(300);
  const { prototype } = createRequire(import.meta.url)('kafkajs/src/network/requestQueue/index.js');
  const looks = t.mock.method(prototype, 'checkPendingRequests');
  await delay(1_000);
  // One for each answer to the 20 fetches of this second, and the heartbeats; 1,000 for each queue that polls.
  assert(looks.mock.callCount() < 200, `looked ${looks.mock.callCount()} times`);
});

test('questions about several topics that are asked at once are all answered, and of what was read', async (t) => {
  const location = await newLocation();
  const topics = ['t', 'u', 'kill', COMPACTED];
  const first = await openFor(t, adapter, location);
  for (const topic of topics) {
    await first.publish(topic, [message('k', 'a')]);
    await take(first, { topic, group: 'g', ...wide }, 1);
  }
  for (let round = 0; round < 10; round += 1) {
    const bus = await openFor(t, adapter, location);
    // A bus learns how many partitions a topic has when it is first asked for: here, between questions about another.
    const asked = topics.flatMap((topic, n) =>
      Array.from({ length: 10 }, (_, again) => ({ topic, afterMs: n * 40 + again * 5 })),
    );
    const lags = await Promise.all(
      asked.map(async ({ topic, afterMs }) => {
        await delay(afterMs);
        return (await bus.lag(topic, 'g')).records;
      }),
    );
    assert.deepEqual(new Set(lags), new Set([0]), `round ${round}`);
  }
});

test('topics are made once; what is there is compared, and left as it is', async () => {
  const connection = connectionOf(await newLocation());
  const log = createLog({ level: 'silent', name: 'test' });
  const plain = { name: 'plain', partitions: 2, compacted: false, retentionMs: 3_600_000 };
  const newest = { name: 'newest', partitions: 1, compacted: true, retentionMs: 0 };
  const first = await ensureTopics(connection, [plain], log);
  assert.deepEqual(first, { created: [`${connection.prefix}plain`], differences: [] });
  const second = await ensureTopics(connection, [{ ...plain, partitions: 3, retentionMs: 7_200_000 }, newest], log);
  assert.deepEqual(second.created, [`${connection.prefix}newest`]);
  assert.deepEqual(
    second.differences.map(({ setting, found, wanted }) => [setting, found, wanted]),
    [
      ['retention.ms', '3600000', '7200000'],
      ['partitions', '2', '3'],
    ],
  );
  assert.deepEqual((await ensureTopics(connection, [plain, newest], log)).differences, []);
});
