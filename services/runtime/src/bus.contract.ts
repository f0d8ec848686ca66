import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { crashTests } from './bus.contract.crash.ts';
import { followTests } from './bus.contract.follow.ts';
import { holdTests } from './bus.contract.hold.ts';
import {
  type Adapter,
  hold,
  identity,
  letGo,
  message,
  newLocation,
  openFor,
  take,
  text,
  wide,
} from './bus.contract.kit.ts';
import { modelTests } from './bus.contract.model.ts';
import type { Bus, BusRecord } from './bus.ts';

/** One promise of the port: its name is what an adapter's `skip` refers to. */
export type ContractTest = { readonly name: string; run(t: TestContext, adapter: Adapter): Promise<void> };

/** What every adapter of the bus port must do; call it from the adapter's own test file. */
export function busContract(adapter: Adapter): void {
  const tests = [...planTests, ...followTests, ...holdTests, ...crashTests, ...modelTests];
  for (const name of Object.keys(adapter.skip ?? {})) {
    assert(
      tests.some((known) => known.name === name),
      `the contract has no test "${name}" to skip`,
    );
  }
  describe(`bus contract: ${adapter.name}`, () => {
    for (const { name, run } of tests) test(name, { skip: adapter.skip?.[name] ?? false }, (t) => run(t, adapter));
  });
}

const planTests: ContractTest[] = [
  {
    name: 'records arrive as published, in order',
    async run(t, adapter) {
      const bus = await openFor(t, adapter, await newLocation());
      const before = Date.now();
      for (const batch of [['1', '2'], ['3'], [], ['4', '5', '6']]) {
        await bus.publish(
          't',
          batch.map((value) => message('k', value)),
        );
      }
      const plans = await take(bus, { topic: 't', group: 'g', ...wide }, 6);
      const records = plans.flatMap((plan) => plan.records);
      assert.deepEqual(
        records.map((record) => text(record.value)),
        ['1', '2', '3', '4', '5', '6'],
      );
      assert(records.every((record) => record.key === 'k'));
      assert(records.every((record) => record.publishedAtMs >= before && record.publishedAtMs <= Date.now()));
      for (const plan of plans) {
        const offsets = plan.records.map((record) => record.offset);
        assert.deepEqual(
          offsets,
          offsets.toSorted((a, b) => a - b),
        );
        assert.equal(new Set(offsets).size, offsets.length);
      }
    },
  },
  {
    name: 'bytes are opaque: a record that means nothing stops no other',
    async run(t, adapter) {
      const bus = await openFor(t, adapter, await newLocation());
      const everyByte = Uint8Array.from({ length: 256 }, (_, n) => n);
      const large = [1, 2, 3, 4].map((byte) => Buffer.alloc(700_000, byte));
      const values = [new Uint8Array(), everyByte, ...large, Uint8Array.of(0xff), Buffer.from('fine')];
      await bus.publish(
        't',
        values.map((value) => ({ key: '', value })),
      );
      const plans = await take(bus, { topic: 't', group: 'g', maxRecords: 100, maxBytes: 10_000_000 }, values.length);
      assert.equal(plans.length, 1);
      const received = plans.flatMap((plan) => plan.records.map((record) => Buffer.from(record.value).toString('hex')));
      assert.deepEqual(
        received,
        values.map((value) => Buffer.from(value).toString('hex')),
      );
    },
  },
  {
    name: 'a key always goes to the same partition',
    async run(t, adapter) {
      const bus = await openFor(t, adapter, await newLocation());
      const keys = Array.from({ length: 20 }, (_, n) => `key ${n}`);
      for (let round = 0; round < 3; round += 1)
        await bus.publish(
          't',
          keys.map((key) => message(key, `${round}`)),
        );
      const seen = new Map<string, Set<number>>();
      for (const { partition, records } of await take(bus, { topic: 't', group: 'g', ...wide }, 60)) {
        for (const { key } of records) seen.set(key, (seen.get(key) ?? new Set()).add(partition));
      }
      assert.equal(seen.size, 20);
      for (const [key, partitions] of seen) assert.equal(partitions.size, 1, key);
    },
  },
  {
    name: 'a plan keeps to maxRecords and maxBytes, a larger record goes alone, and plans follow on one another',
    async run(t, adapter) {
      const bus = await openFor(t, adapter, await newLocation());
      const sizes = [10, 10, 10, 10, 60, 50, 500, 10, 99, 1];
      await bus.publish(
        't',
        sizes.map((size) => message('k', Buffer.alloc(size))),
      );
      const plans = await take(bus, { topic: 't', group: 'g', maxRecords: 3, maxBytes: 100 }, sizes.length);
      assert.deepEqual(
        plans.map((plan) => plan.records.map((record) => record.value.byteLength)),
        [[10, 10, 10], [10, 60], [50], [500], [10], [99, 1]],
      );
      for (const [n, plan] of plans.entries()) {
        assert.equal(plan.to, plan.records.at(-1)!.offset + 1);
        assert(plan.from <= plan.records[0]!.offset);
        if (n > 0) assert.equal(plan.from, plans[n - 1]!.to);
        assert.equal(plan.busId, plans[0]!.busId);
      }
    },
  },
  {
    name: 'what is handed ahead of its plan comes again in it, in order, and moves no bounds',
    async run(t, adapter) {
      const location = await newLocation();
      const bus = await openFor(t, adapter, location);
      const values = Array.from({ length: 9 }, (_, n) => `${n}`);
      await bus.publish(
        't',
        values.map((value) => message('k', value)),
      );
      const ahead: BusRecord[] = [];
      const limits = { topic: 't', group: 'g', maxRecords: 3, maxBytes: 1_000 };
      const forgotten: BusRecord[] = [];
      const held = hold(bus, {
        ...limits,
        ahead: { prepare: (records) => ahead.push(...records), forget: (records) => forgotten.push(...records) },
      });
      const first = await held.next();
      // An adapter has time for it here, and need not use it.
      await delay(100);
      await bus.publish('t', [message('k', '9')]);
      first.acknowledge();
      const second = await held.next();
      assert.deepEqual(
        second.plan.records.map((record) => text(record.value)),
        ['3', '4', '5'],
      );
      for (const [n, record] of ahead.slice(0, 3).entries()) assert.equal(record, second.plan.records[n]);
      assert.deepEqual(forgotten, []);
      await letGo(bus);
      // What was only handed ahead belongs to no plan: the next process gets what is in hand, then the rest.
      const plans = await take(await openFor(t, adapter, location), limits, 7);
      assert.deepEqual(identity(plans[0]!), identity(second.plan));
      assert.deepEqual(
        plans.flatMap(({ records }) => records.map(({ value }) => text(value))),
        [...values.slice(3), '9'],
      );
    },
  },
  {
    name: 'groups are independent: one that is stuck does not hold up another',
    async run(t, adapter) {
      const bus = await openFor(t, adapter, await newLocation());
      await bus.publish('t', [message('k', 'a'), message('k', 'b')]);
      const stuck = hold(bus, { topic: 't', group: 'stuck', maxRecords: 1, maxBytes: 100 });
      const held = await stuck.next();
      const plans = await take(bus, { topic: 't', group: 'other', ...wide }, 2);
      assert.deepEqual(
        plans.flatMap((plan) => plan.records.map((record) => text(record.value))),
        ['a', 'b'],
      );
      assert.equal(text(held.plan.records[0]!.value), 'a');
      assert.equal((await bus.lag('t', 'stuck')).records, 2);
      assert.equal((await bus.lag('t', 'other')).records, 0);
      held.acknowledge();
    },
  },
  {
    name: 'a handler that throws rejects done and keeps the plan, whatever is published or configured meanwhile',
    async run(t, adapter) {
      const location = await newLocation();
      const bus = await openFor(t, adapter, location);
      await bus.publish('t', [message('k', 'a'), message('k', 'b')]);
      const first = hold(bus, { topic: 't', group: 'g', ...wide });
      const held = await first.next();
      const fault = new Error('the handler broke');
      held.fail(fault);
      await assert.rejects(first.subscription.done, (error) => error === fault);
      await bus.publish('t', [message('k', 'c')]);

      const again = hold(bus, { topic: 't', group: 'g', maxRecords: 1, maxBytes: 1 });
      const repeated = await again.next();
      assert.deepEqual(identity(repeated.plan), identity(held.plan));
      const closed = bus.close();
      repeated.acknowledge();
      await closed;

      const reopened = await openFor(t, adapter, location);
      const [next] = await take(reopened, { topic: 't', group: 'g', ...wide }, 1);
      assert.deepEqual(
        next!.records.map((record) => text(record.value)),
        ['c'],
      );
      assert.equal(next!.from, held.plan.to);
    },
  },
  {
    name: 'close waits for the running handler and acknowledges what it finished',
    async run(t, adapter) {
      const bus = await openFor(t, adapter, await newLocation());
      await bus.publish('t', [message('k', 'a'), message('k', 'b')]);
      const { subscription, next } = hold(bus, { topic: 't', group: 'g', maxRecords: 1, maxBytes: 100 });
      const held = await next();
      let closed = false;
      const closing = subscription.close().then(() => {
        closed = true;
      });
      await bus.publish('t', [message('k', 'c')]);
      assert.equal(closed, false);
      held.acknowledge();
      await closing;
      await subscription.done;
      assert.equal((await bus.lag('t', 'g')).records, 2);
    },
  },
  {
    name: 'a subscription that has read everything wakes for what is published later',
    async run(t, adapter) {
      const bus = await openFor(t, adapter, await newLocation());
      const { next } = hold(bus, { topic: 't', group: 'g', ...wide });
      for (const value of ['a', 'b', 'c']) {
        await bus.publish('t', [message('k', value)]);
        const held = await next();
        assert.equal(text(held.plan.records[0]!.value), value);
        held.acknowledge();
      }
    },
  },
  {
    name: 'lag counts what is not acknowledged and knows the age of the oldest',
    async run(t, adapter) {
      const bus = await openFor(t, adapter, await newLocation());
      assert.deepEqual(await bus.lag('t', 'g'), { records: 0, oldestAgeMs: 0 });
      await bus.publish('t', [message('k', 'a'), message('k', 'b'), message('k', 'c')]);
      const { next } = hold(bus, { topic: 't', group: 'g', maxRecords: 2, maxBytes: 100 });
      const held = await next();
      const { publishedAtMs } = held.plan.records[0]!;
      while (Date.now() === publishedAtMs);
      const lag = await bus.lag('t', 'g');
      assert.equal(lag.records, 3);
      assert(lag.oldestAgeMs > 0 && lag.oldestAgeMs <= Date.now() - publishedAtMs);
      held.acknowledge();
      const second = await next();
      assert.equal((await bus.lag('t', 'g')).records, 1);
      second.acknowledge();
      await bus.close();
    },
  },
  {
    name: 'a reopened bus keeps its id and its records, another bus has another id',
    async run(t, adapter) {
      const location = await newLocation();
      const bus = await openFor(t, adapter, location);
      await bus.publish('t', [message('k', 'a')]);
      const idOf = async (of: Bus, group: string) => (await take(of, { topic: 't', group, ...wide }, 1))[0]!.busId;
      const id = await idOf(bus, 'first');
      assert.match(id, /^[\w.-]{16,}$/);
      await bus.close();
      const reopened = await openFor(t, adapter, location);
      assert.equal(await idOf(reopened, 'second'), id);
      const other = await openFor(t, adapter, await newLocation());
      await other.publish('t', [message('k', 'a')]);
      assert.notEqual(await idOf(other, 'first'), id);
    },
  },
];
