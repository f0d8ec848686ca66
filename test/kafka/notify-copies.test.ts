/**
 * Several copies of notify on one Kafka. In `npm test` for some seconds, by hand for longer:
 *   BINTRAIL_CHAOS_S=120 BINTRAIL_SEED=1 node --test test/kafka/notify-copies.test.ts
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { createNotify } from '@bintrail/notify/notify.ts';
import { newLocation } from '@bintrail/runtime/bus.contract.kit.ts';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { openKafkaBus } from '@bintrail/runtime/kafka-bus.ts';
import { ensureTopics } from '@bintrail/runtime/kafka-topics.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics } from '@bintrail/runtime/metrics.ts';
import { TOPICS, topicShapes } from '@bintrail/schemas/topics.ts';
import { startSlackReceiver } from '../src/slack-receiver.ts';
import { connectionOf, QUICK } from './contract.adapter.ts';
import { kafkaForTests } from './for-tests.ts';
import { judgeChaos, runChaos } from './notify-copies.kit.ts';

await kafkaForTests();
const CHAOS_S = Number(process.env.BINTRAIL_CHAOS_S ?? 12);
const SEED = Number(process.env.BINTRAIL_SEED ?? randomInt(2 ** 31));
const REPLAY = `BINTRAIL_CHAOS_S=${CHAOS_S} BINTRAIL_SEED=${SEED} node --test test/kafka/notify-copies.test.ts`;
const log = createLog({ level: 'error', name: 'test' });
const SHAPES = topicShapes({ partitions: 1, retentionMs: 3_600_000 });

test(`three copies that are killed, stopped and replaced for ${CHAOS_S} s tell each alert, and twice only marked`, {
  timeout: 3 * CHAOS_S * 1000 + 150_000,
}, async (t) => {
  t.diagnostic(`to replay: ${REPLAY}`);
  const location = await newLocation();
  const connection = connectionOf(location);
  await ensureTopics(connection, SHAPES, log);
  const bus = openKafkaBus({ connection, log, timing: QUICK });
  t.after(() => bus.close());
  const receiver = await startSlackReceiver({ minIntervalMs: 0 });
  t.after(() => receiver.close());
  const chaos = await runChaos(bus, receiver, location, { seed: SEED, durationMs: CHAOS_S * 1000 });
  const { complaints, figures } = judgeChaos(chaos);
  t.diagnostic(JSON.stringify({ ...figures, ...chaos.done }));
  assert.deepEqual(complaints, [], `to replay: ${REPLAY}`);
  assert.deepEqual(chaos.done, chaos.planned);
  assert(chaos.attempts.length >= Object.values(chaos.planned).reduce((sum, n) => sum + n));
});

test('findings and deliveries with different numbers of partitions are a matter of set-up', async (t) => {
  const connection = connectionOf(await newLocation());
  const shapes = SHAPES.map((shape) => (shape.name === TOPICS.deliveries ? { ...shape, partitions: 3 } : shape));
  await ensureTopics(connection, shapes, log);
  const bus = openKafkaBus({ connection, log, timing: QUICK });
  t.after(() => bus.close());
  const access = { webhookUrl: undefined, apiUrl: 'http://127.0.0.1:7070', tokenPath: '/var/lib/bintrail/token' };
  await assert.rejects(createNotify({ bus, log, metrics: createMetrics(), ...access }), (error) => {
    assert(error instanceof SetupError);
    assert.equal(error.message, 'bintrail.findings has 4 partitions and bintrail.deliveries has 3');
    return true;
  });
});
