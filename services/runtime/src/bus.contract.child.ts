// A process for the contract's kill tests: argv is the adapter's module, the location and a role.
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { argv, stdout } from 'node:process';
import { identity, LOT, message } from './bus.contract.kit.ts';
import type { Bus, Plan } from './bus.ts';

const [module, location, role] = argv.slice(2) as [string, string, string];
const { open } = (await import(module)) as { open(location: string): Bus | Promise<Bus> };
const bus = await open(location);
const options = { topic: 'kill', group: 'sink', maxRecords: 7, maxBytes: 1_000 };

const print = (fact: unknown): void => {
  stdout.write(`${JSON.stringify(fact)}\n`);
};
const never = new Promise<void>(() => {});
const insert = ({ from, to, atMs, records }: Plan): void =>
  appendFileSync(join(location, 'inserted'), `${JSON.stringify({ from, to, atMs, rows: records.length })}\n`);

const roles: Record<string, () => Promise<void>> = {
  /** Has the plan, has done nothing with it. */
  async planned() {
    await bus.subscribe(options, async (plan) => {
      print(identity(plan));
      await never;
    }).done;
  },
  /** Has done its work with the plan, and is not yet acknowledged. */
  async inserted() {
    await bus.subscribe(options, async (plan) => {
      insert(plan);
      print(identity(plan));
      await never;
    }).done;
  },
  /** Inserts and acknowledges as fast as it can. */
  async consume() {
    await bus.subscribe(options, async (plan) => {
      insert(plan);
      print({ to: plan.to });
    }).done;
  },
  /** Publishes many messages at a time and says which lots are published. */
  async publish() {
    for (let lot = 0; ; lot += 1) {
      await bus.publish(
        'kill',
        Array.from({ length: LOT }, (_, n) => message('k', `${lot}.${n}`)),
      );
      print({ published: lot });
    }
  },
};
await roles[role]!();
