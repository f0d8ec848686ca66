import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Held, hold, message, newLocation, openFor, text, until } from '@bintrail/runtime/bus.contract.kit.ts';
import type { BusRecord } from '@bintrail/runtime/bus.ts';
import { open } from './contract.adapter.ts';
import { kafkaForTests } from './for-tests.ts';

await kafkaForTests();
const adapter = { name: 'kafka', open, module: new URL('./contract.adapter.ts', import.meta.url), takesOver: false };
const limits = { topic: 't', group: 'g', maxRecords: 2, maxBytes: 1_000 };

/** What was handed ahead and what was taken back, by value. */
function watchAhead() {
  const prepared: BusRecord[] = [];
  const forgotten: BusRecord[] = [];
  const ahead = {
    prepare: (records: readonly BusRecord[]) => void prepared.push(...records),
    forget: (records: readonly BusRecord[]) => void forgotten.push(...records),
  };
  const values = (records: readonly BusRecord[]) => records.map(({ value }) => text(value));
  return {
    ahead,
    prepared,
    forgotten,
    preparedValues: () => values(prepared),
    forgottenValues: () => values(forgotten),
  };
}

test('the records of the next plan are handed ahead while one is in hand, also those that arrive meanwhile', async (t) => {
  const bus = await openFor(t, adapter, await newLocation());
  const publish = (...values: string[]) =>
    bus.publish(
      't',
      values.map((value) => message('k', value)),
    );
  await publish('a', 'b', 'c');
  const watch = watchAhead();
  const { next } = hold(bus, { ...limits, ahead: watch.ahead });
  const first = await next();
  await until('what is here is handed ahead', () => watch.prepared.length === 1);
  await publish('d', 'e', 'f');
  await until('so is what arrives, no more than a plan holds', () => watch.prepared.length === 2);
  first.acknowledge();
  const second = await next();
  assert.deepEqual(watch.preparedValues().slice(0, 2), ['c', 'd']);
  for (const [n, record] of second.plan.records.entries()) assert.equal(record, watch.prepared[n]);
  await until('the one after that', () => watch.preparedValues().join('') === 'cdef');
  assert.deepEqual(watch.forgotten, []);
});

test('what was handed ahead before a rebalance comes in a plan as the same object, or is forgotten', async (t) => {
  const location = await newLocation();
  const bus = await openFor(t, adapter, location);
  const keys = ['k', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'];
  const messages = ['1', '2', '3', '4'].flatMap((value) => keys.map((key) => message(key, `${key}${value}`)));
  await bus.publish('t', messages);
  const watch = watchAhead();
  const one = hold(bus, { ...limits, ahead: watch.ahead });
  const held = await Promise.all([one.next(), one.next(), one.next()]);
  await until('the next plan of each is handed ahead', () => watch.prepared.length === 6);
  const two = hold(await openFor(t, adapter, location), limits);
  // Every partition is given out anew, and read again by whoever has it then.
  const moved = await two.next();
  assert.deepEqual(watch.forgotten, []);
  for (const each of [...held, moved]) each.acknowledge();
  await until('what the first had of all is forgotten', () => watch.forgotten.length >= 6);
  const taken = new Set(held.flatMap(({ plan }) => plan.records));
  const goOn = async ({ next }: typeof one): Promise<void> => {
    for (;;) {
      const { plan, acknowledge } = await next();
      for (const record of plan.records) taken.add(record);
      acknowledge();
    }
  };
  const going = [goOn(one), goOn(two)];
  const done = until('all is acknowledged', async () => (await bus.lag('t', 'g')).records === 0);
  await Promise.race([...going, done]);
  const forgotten = new Set<BusRecord>(watch.forgotten);
  for (const record of watch.prepared) assert.notEqual(forgotten.has(record), taken.has(record));
});

test('a plan that is not full waits for more, but not for ever', async (t) => {
  const bus = await openFor(t, adapter, await newLocation());
  const publish = (value: string) => bus.publish('t', [message('k', value)]);
  const values = ({ plan }: Held) => plan.records.map((record) => text(record.value));
  const full = hold(bus, { ...limits, gatherMs: 60_000 });
  const late = hold(bus, { ...limits, group: 'late', maxRecords: 10, gatherMs: 200 });
  await publish('a');
  const alone = await late.next();
  assert.deepEqual(values(alone), ['a']);
  alone.acknowledge();
  await publish('b');
  const both = await full.next();
  assert.deepEqual(values(both), ['a', 'b']);
  both.acknowledge();
});

test('a subscriber that throws on what comes ahead rejects done', async (t) => {
  const bus = await openFor(t, adapter, await newLocation());
  await bus.publish(
    't',
    ['a', 'b', 'c'].map((value) => message('k', value)),
  );
  const prepare = () => {
    throw new RangeError('no');
  };
  const subscription = bus.subscribe({ ...limits, ahead: { prepare, forget() {} } }, async () => {
    await new Promise((resolve) => setTimeout(resolve, 100));
  });
  await assert.rejects(subscription.done, RangeError);
});
