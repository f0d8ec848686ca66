import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Adapter } from './bus.contract.kit.ts';
import { type Held, hold, identity, letGo, message, newLocation } from './bus.contract.kit.ts';
import type { ContractTest } from './bus.contract.ts';
import type { Bus } from './bus.ts';

type Limits = { maxRecords: number; maxBytes: number };
type Step =
  | { do: 'publish'; sizes: number[] }
  | { do: 'acknowledge' }
  /** crash: the process dies with the plan in hand, so its bus stays open and another takes over. */
  | { do: 'crash' | 'throw' | 'reopen'; limits: Limits };

const limits = fc.record({ maxRecords: fc.integer({ min: 1, max: 6 }), maxBytes: fc.integer({ min: 1, max: 400 }) });
const steps = fc.array(
  fc.oneof<fc.Arbitrary<Step>[]>(
    fc.record({
      do: fc.constant('publish' as const),
      sizes: fc.array(fc.nat(300), { minLength: 1, maxLength: 8 }),
    }),
    fc.record({ do: fc.constant('acknowledge' as const) }),
    fc.record({ do: fc.constantFrom('crash' as const, 'throw' as const, 'reopen' as const), limits }),
  ),
  { minLength: 5, maxLength: 30 },
);

const TOPIC = 't';
const GROUP = 'g';

/** Drives one bus through the steps and compares every plan with what the port promises. */
async function runSteps(adapter: Adapter, all: readonly Step[]): Promise<void> {
  const location = await newLocation();
  const opened: Bus[] = [];
  const published: number[] = [];
  let acked = 0;
  let current: Limits = { maxRecords: 3, maxBytes: 200 };
  let inHand: { held: Held; seen: ReturnType<typeof identity> } | undefined;
  let bus: Bus;
  let reader: ReturnType<typeof hold>;

  const open = async (): Promise<void> => {
    bus = await adapter.open(location);
    opened.push(bus);
  };
  const subscribe = (): void => {
    reader = hold(bus, { topic: TOPIC, group: GROUP, ...current });
  };
  /** Takes the plan due now, if there is one; `repeated` is what it was called before, if it was. */
  const receive = async (repeated?: ReturnType<typeof identity>): Promise<void> => {
    if (acked === published.length) return;
    const held = await reader.next();
    const seen = identity(held.plan);
    if (repeated === undefined) checkFresh(seen);
    else assert.deepEqual(seen, repeated);
    inHand = { held, seen };
  };
  const checkFresh = ({ from, to, records }: ReturnType<typeof identity>): void => {
    assert.equal(from, acked);
    assert.equal(to, from + records.length);
    const sizes = records.map((record) => record.value.length);
    assert.deepEqual(sizes, published.slice(from, to));
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    assert(records.length <= current.maxRecords);
    assert(bytes <= current.maxBytes || records.length === 1);
  };

  await open();
  subscribe();
  for (const step of all) {
    if (step.do === 'publish') {
      await bus!.publish(
        TOPIC,
        step.sizes.map((size) => message('k', 'x'.repeat(size))),
      );
      published.push(...step.sizes);
      if (inHand === undefined) await receive();
    } else if (step.do === 'acknowledge') {
      if (inHand === undefined) continue;
      inHand.held.acknowledge();
      acked = inHand.seen.to;
      inHand = undefined;
      await receive();
    } else {
      const before = inHand;
      inHand = undefined;
      if (step.do !== 'crash') before?.held.fail(new Error('broke'));
      else if (!adapter.takesOver) await letGo(bus!);
      if (step.do === 'reopen') await bus!.close();
      if (step.do === 'throw')
        await (before ? reader!.subscription.done.catch(() => {}) : reader!.subscription.close());
      current = step.limits;
      if (step.do !== 'throw') await open();
      subscribe();
      await receive(before?.seen);
    }
    const lag = await bus!.lag(TOPIC, GROUP);
    if (inHand !== undefined) assert.equal(lag.records, published.length - acked);
  }
  for (const each of opened) await letGo(each);
}

export const modelTests: ContractTest[] = [
  {
    name: 'any sequence of publish, acknowledge, crash, throw and reopen: bounds hold and repeat exactly',
    async run(_t, adapter) {
      await fc.assert(
        fc.asyncProperty(steps, (all) => runSteps(adapter, all)),
        { numRuns: 30 },
      );
    },
  },
];
