import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createDetect } from '@bintrail/detect/detect.ts';
import { execMessage, execRow } from '@bintrail/detect/events.kit.ts';
import { letGo, message, newLocation, openFor, until, wide } from '@bintrail/runtime/bus.contract.kit.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import { openKafkaBus } from '@bintrail/runtime/kafka-bus.ts';
import { ensureTopics } from '@bintrail/runtime/kafka-topics.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics } from '@bintrail/runtime/metrics.ts';
import { pump } from '@bintrail/runtime/pump.ts';
import { findingSchema } from '@bintrail/schemas/finding.ts';
import { TOPICS, topicShapes } from '@bintrail/schemas/topics.ts';
import { connectionOf, open, QUICK } from './contract.adapter.ts';
import { kafkaForTests } from './for-tests.ts';
import { startService } from './service.kit.ts';

await kafkaForTests();
const adapter = { name: 'kafka', open, module: new URL('./contract.adapter.ts', import.meta.url), takesOver: false };
const log = createLog({ level: 'silent', name: 'test' });

test('a partition that is stuck shows in the health of its stage while the others go on', async (t) => {
  const bus = await openFor(t, adapter, await newLocation());
  let done = 0;
  let healed = false;
  const stuck = new Set<number>();
  const stage = pump({
    ...{ bus, log, metrics: createMetrics(), stage: 'sorting', topic: 't', group: 'g', deadTopic: 'u', ...wide },
    backoff: { baseMs: 10, capMs: 20 },
    async process({ partition, records }) {
      if (stuck.size === 0) stuck.add(partition);
      if (stuck.has(partition) && !healed) throw new Transient('this one is away');
      done += records.length;
      return { in: records.length, out: 0, dead: [] };
    },
  });
  await assert.rejects(stage.ready(), /sorting is no member of its group on t yet/);
  const keys = Array.from({ length: 30 }, (_, n) => message(`key ${n}`, ''));
  for (let round = 1; round <= 5; round += 1) {
    const before = done;
    await bus.publish('t', keys);
    await until('the others have worked', () => done > before);
    assert.match(stage.health().detail ?? '', /^\d+ tries failed in \d+ s \(partition \d\), trying again$/);
  }
  await stage.ready();
  healed = true;
  await until('all is done', () => done === 5 * keys.length);
  await until('it is well', () => stage.health().state === 'up');
  await stage.close();
  await assert.rejects(stage.ready());
});

test('an exec with megabytes of arguments becomes a finding that Kafka takes, and detect goes on', async (t) => {
  const connection = connectionOf(await newLocation());
  await ensureTopics(connection, topicShapes({ partitions: 1, retentionMs: 3_600_000 }), log);
  const bus = openKafkaBus({ connection, log, timing: QUICK });
  t.after(() => letGo(bus));
  const detect = await createDetect({ bus, log, metrics: createMetrics() });
  t.after(() => detect.close());
  // As random as can be: what brokers bound is the size after compression.
  let state = 7;
  const noise = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return 0x21 + ((state >>> 16) % 90);
  };
  const argv = Buffer.from(Array.from({ length: 1_600_000 }, noise)).toString('latin1');
  const values = [execMessage(execRow(1, 0, { argv, cwd: argv })), execMessage(execRow(2, 1, { path: '/opt/after' }))];
  for (const value of values) await bus.publish(TOPICS.events, [{ key: 'node-a', value }]);
  const found: string[] = [];
  await bus.follow(TOPICS.findings, (records) => {
    for (const { value } of records) found.push(findingSchema.parse(JSON.parse(String(value))).path);
  });
  // The same content, so the first is the one that is told.
  await until('it is found', () => found.length > 0);
  await until('all is judged', async () => (await bus.lag(TOPICS.events, 'detect')).records === 0);
  assert.deepEqual(found, ['/opt/a']);
  assert.equal(detect.health().state, 'up');
});

test('a stage that is asked to end while it starts ends in good order', async (t) => {
  const connection = connectionOf(await newLocation());
  await ensureTopics(connection, topicShapes({ partitions: 1, retentionMs: 3_600_000 }), log);
  const env = { KAFKA_BROKERS: connection.brokers.join(','), KAFKA_PREFIX: connection.prefix };
  for (const afterMs of [0, 100, 250, 500]) {
    const { child } = await startService(t, 'detect', env, 'starting');
    await delay(afterMs);
    child.kill('SIGTERM');
    assert.deepEqual(await once(child, 'exit'), [0, null], `after ${afterMs} ms`);
  }
});
