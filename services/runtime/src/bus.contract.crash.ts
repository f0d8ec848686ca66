import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  hold,
  identity,
  LOT,
  message,
  newLocation,
  openFor,
  startChild,
  take,
  text,
  until,
  wide,
} from './bus.contract.kit.ts';
import type { ContractTest } from './bus.contract.ts';

type Inserted = { from: number; to: number; atMs: number; rows: number };

function insertedAt(location: string): Inserted[] {
  const path = join(location, 'inserted');
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.filter(Boolean).map((line) => JSON.parse(line));
}

/** The plan a killed process held must come again, exactly; `role` says how far that process had got with it. */
function killedWhile(role: string): ContractTest['run'] {
  return async (t, adapter) => {
    const location = await newLocation();
    const bus = await openFor(t, adapter, location);
    await bus.publish(
      'kill',
      Array.from({ length: 10 }, (_, n) => message('k', `${n}`)),
    );
    const child = startChild(t, adapter, location, role);
    const held = await child.next();
    await child.kill();
    await bus.publish('kill', [message('k', 'later')]);
    const { next } = hold(bus, { topic: 'kill', group: 'sink', ...wide });
    const repeated = await next();
    assert.deepEqual(identity(repeated.plan), held);
    assert.equal(repeated.plan.records.length, 7);
    repeated.acknowledge();
    const following = await next();
    assert.equal(following.plan.from, repeated.plan.to);
    following.acknowledge();
  };
}

export const crashTests: ContractTest[] = [
  {
    name: 'kill -9 after the plan: handed out again with the same bounds, time and bytes',
    run: killedWhile('planned'),
  },
  { name: 'kill -9 after the insert, before the acknowledgement: the same', run: killedWhile('inserted') },
  {
    name: 'kill -9 at any moment: every record inserted, and every repeated insert identical',
    async run(t, adapter) {
      const location = await newLocation();
      const bus = await openFor(t, adapter, location);
      const total = 400;
      for (let n = 0; n < total; n += 20) {
        await bus.publish(
          'kill',
          Array.from({ length: 20 }, (_, i) => message('k', 'x'.repeat((n + i) % 300))),
        );
      }
      const done = () => insertedAt(location).some(({ to }) => to === total);
      for (let round = 0; round < 8 && !done(); round += 1) {
        const child = startChild(t, adapter, location, 'consume');
        await child.next();
        // Spread over the few milliseconds between one plan and the next.
        await delay(round * 1.3);
        await child.kill();
      }
      const last = startChild(t, adapter, location, 'consume');
      await until('everything is inserted', done);
      await last.kill();

      const byToken = new Map<string, Inserted>();
      for (const insert of insertedAt(location)) {
        const token = `${insert.from}:${insert.to}`;
        assert.deepEqual(byToken.get(token) ?? insert, insert, token);
        byToken.set(token, insert);
      }
      const plans = [...byToken.values()].toSorted((a, b) => a.from - b.from);
      for (const [n, plan] of plans.entries()) assert.equal(plan.from, plans[n - 1]?.to ?? 0);
      assert.equal(
        plans.reduce((rows, plan) => rows + plan.rows, 0),
        total,
      );
    },
  },
  {
    name: 'kill -9 of a publisher: what it was told is published is there, and every publish is whole or absent',
    async run(t, adapter) {
      const location = await newLocation();
      const bus = await openFor(t, adapter, location);
      const told: number[] = [];
      for (let round = 0; round < 6; round += 1) {
        const child = startChild(t, adapter, location, 'publish');
        let last = -1;
        while (last < 3) last = (await child.next())!.published as number;
        await delay(round);
        await child.kill();
        for (let line = await child.next(); line !== undefined; line = await child.next())
          last = line.published as number;
        told.push(last);
      }
      const { records } = await bus.lag('kill', 'check');
      const plans = await take(bus, { topic: 'kill', group: 'check', ...wide }, records);
      const values = plans.flatMap((plan) => plan.records.map((record) => text(record.value)));
      for (const last of told) {
        for (let lot = 0; lot <= last || values[0] === `${lot}.0`; lot += 1) {
          const whole = Array.from({ length: LOT }, (_, n) => `${lot}.${n}`);
          assert.deepEqual(values.splice(0, LOT), whole);
        }
      }
      assert.deepEqual(values, []);
    },
  },
  {
    name: 'what another process publishes reaches a handler here',
    async run(t, adapter) {
      const location = await newLocation();
      const bus = await openFor(t, adapter, location);
      const { next } = hold(bus, { topic: 'kill', group: 'g', ...wide });
      const child = startChild(t, adapter, location, 'publish');
      const held = await next();
      assert.equal(text(held.plan.records[0]!.value), '0.0');
      held.acknowledge();
      await child.kill();
    },
  },
];
