import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode } from 'cbor-x';
import { text, until } from './bus.contract.kit.ts';
import type { Bus } from './bus.ts';
import { Transient } from './errors.ts';
import { drained, publish, setUp } from './pump.kit.ts';

test('dead records are in the dead-letter topic before the plan is acknowledged, keyed by origin', async (t) => {
  const { bus, start, value } = await setUp(t);
  const letters: { key: string; value: Uint8Array; unacknowledged: number }[] = [];
  await bus.follow('dead', async (records) => {
    const { records: unacknowledged } = await bus.lag('work', 'g');
    letters.push(...records.map(({ key, value }) => ({ key, value, unacknowledged })));
  });
  const { close } = start(async (plan) => {
    const dead = plan.records
      .filter((record) => text(record.value).startsWith('bad'))
      .map((record) => ({
        ...{ reason: 'not understood', stage: 'sorting', topic: plan.topic, partition: plan.partition },
        ...{ offset: record.offset, key: record.key, bytes: record.value },
      }));
    return { in: plan.records.length, out: plan.records.length - dead.length, dead };
  });
  await publish(bus, 'good', 'bad\u0000');
  await drained(bus);
  await until('the letter is there', () => letters.length === 1);
  assert.equal(letters[0]!.key, 'work:0:1');
  assert.deepEqual(decode(letters[0]!.value), {
    ...{ reason: 'not understood', stage: 'sorting', topic: 'work', partition: 0, offset: 1n },
    key: 'k',
    bytes: Uint8Array.from(Buffer.from('bad\u0000')),
  });
  const asByteString = Buffer.concat([Buffer.from('bytes'), Buffer.of(0x44), Buffer.from('bad\u0000')]);
  assert(Buffer.from(letters[0]!.value).includes(asByteString), 'no tag between the key and the bytes');
  assert.equal(await value('dead_total'), 1);
  assert.equal(await value('out_total'), 1);
  await close();
});

test('a plan of nothing but large dead records becomes several publishes, none over what a bus takes at once', async (t) => {
  const { bus, start } = await setUp(t);
  const sizes: number[] = [];
  const watched: Bus = {
    ...bus,
    async publish(topic, messages) {
      sizes.push(messages.reduce((sum, { value }) => sum + value.byteLength, 0));
      await bus.publish(topic, messages);
    },
  };
  const large = (bytes: number) => ({ key: 'k', value: Buffer.alloc(bytes, 'x') });
  await bus.publish('work', [large(700_000), large(700_000), large(3_000_000), large(10), large(10)]);
  const { close } = start(
    async ({ records, topic, partition }) => ({
      ...{ in: records.length, out: 0 },
      dead: records.map(({ offset, key, value }) => ({
        ...{ reason: 'r', stage: 's', topic, partition, offset, key, bytes: value },
      })),
    }),
    { bus: watched, maxRecords: 10, maxBytes: 10_000_000 },
  );
  await drained(bus);
  await close();
  assert.deepEqual(
    sizes.map((bytes) => Math.floor(bytes / 100_000)),
    [7, 7, 30, 0],
  );
});

test('while the dead-letter topic cannot be reached, the plan is not acknowledged and not processed again', async (t) => {
  const { bus, start, value } = await setUp(t);
  await publish(bus, 'bad');
  let refused = 0;
  let processed = 0;
  const flaky: Bus = {
    ...bus,
    async publish(topic, messages) {
      refused += 1;
      assert.equal((await bus.lag('work', 'g')).records, 1);
      if (refused <= 2) throw new Transient('the bus is full');
      await bus.publish(topic, messages);
    },
  };
  const { close } = start(
    async ({ records, topic, partition }) => {
      processed += 1;
      const [record] = records;
      return {
        in: 1,
        out: 0,
        dead: [
          { reason: 'r', stage: 's', topic, partition, offset: record!.offset, key: record!.key, bytes: record!.value },
        ],
      };
    },
    { bus: flaky },
  );
  await drained(bus);
  assert.deepEqual(
    { refused, processed, retries: await value('retries_total') },
    { refused: 3, processed: 1, retries: 2 },
  );
  await close();
});
