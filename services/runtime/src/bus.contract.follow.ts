import assert from 'node:assert/strict';
import { COMPACTED, message, newLocation, openFor, text, until } from './bus.contract.kit.ts';
import type { ContractTest } from './bus.contract.ts';

export const followTests: ContractTest[] = [
  {
    name: 'follow hands over everything up to the end before it resolves, then goes on',
    async run(t, adapter) {
      const bus = await openFor(t, adapter, await newLocation());
      const values = Array.from({ length: 50 }, (_, n) => `${n} `.padEnd(60_000, '.'));
      for (const [n, value] of values.entries()) await bus.publish('t', [message(`${n % 7}`, value)]);
      const seen: string[] = [];
      const follower = await bus.follow('t', (records) => {
        for (const record of records) seen.push(text(record.value));
      });
      assert.deepEqual(seen.toSorted(), values.toSorted());
      await bus.publish('t', [message('later', 'later')]);
      await until('the later record arrives', () => seen.includes('later'));
      assert.equal(seen.length, 51);
      await follower.close();
      await follower.done;
    },
  },
  {
    name: 'follow resolves on a topic nobody published to, and needs no group',
    async run(t, adapter) {
      const bus = await openFor(t, adapter, await newLocation());
      const seen: string[] = [];
      await bus.follow('t', (records) => {
        for (const record of records) seen.push(text(record.value));
      });
      assert.deepEqual(seen, []);
      await bus.publish('t', [message('k', 'a')]);
      await until('the record arrives', () => seen.length === 1);
    },
  },
  {
    name: 'follow of a compacted topic ends at the newest record of every key',
    async run(t, adapter) {
      const bus = await openFor(t, adapter, await newLocation());
      for (let round = 0; round < 5; round += 1) {
        await bus.publish(
          COMPACTED,
          ['x', 'y', 'z'].map((key) => message(key, `${key}${round}`)),
        );
      }
      await bus.publish(COMPACTED, [message('y', 'last')]);
      const newest = new Map<string, string>();
      await bus.follow(COMPACTED, (records) => {
        for (const { key, value } of records) newest.set(key, text(value));
      });
      assert.deepEqual(Object.fromEntries(newest), { x: 'x4', y: 'last', z: 'z4' });
    },
  },
  {
    name: 'a follower that throws rejects: follow itself while catching up, done afterwards',
    async run(t, adapter) {
      const bus = await openFor(t, adapter, await newLocation());
      await bus.publish('t', [message('k', 'bad')]);
      const fault = new Error('the follower broke');
      const refuse = (records: readonly { value: Uint8Array }[]): void => {
        if (records.some((record) => text(record.value) === 'bad')) throw fault;
      };
      await assert.rejects(bus.follow('t', refuse), (error) => error === fault);
      const follower = await bus.follow('u', refuse);
      const failed = assert.rejects(follower.done, (error) => error === fault);
      await bus.publish('u', [message('k', 'bad')]);
      await failed;
    },
  },
];
