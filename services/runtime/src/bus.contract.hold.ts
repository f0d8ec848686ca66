import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { COMPACTED, message, newLocation, openFor, text, until, wide } from './bus.contract.kit.ts';
import type { ContractTest } from './bus.contract.ts';
import type { Bus, Hold } from './bus.ts';
import { Transient } from './errors.ts';
import { retry } from './retry.ts';

const KEYS = Array.from({ length: 12 }, (_, n) => `key ${n}`);
const PEN_MS = 20_000;
const all = (value: string) => KEYS.map((key) => message(key, value));

/** As a stage does: a cluster whose coordinator is just being chosen says so, and is asked again. */
const takePen = (bus: Bus, partition: number) =>
  retry(
    () => bus.journal(COMPACTED, partition),
    { baseMs: 50, capMs: 1_000 },
    AbortSignal.timeout(PEN_MS),
    () => {},
  );

/** What a follower of the topic has been handed, by partition. */
async function watch(bus: Bus, topic: string) {
  const seen: { value: string; partition: number }[] = [];
  const follower = await bus.follow(topic, (records, partition) => {
    for (const { value } of records) seen.push({ value: text(value), partition });
  });
  return { seen, follower };
}

export const holdTests: ContractTest[] = [
  {
    name: 'a partition is taken before its first plan, again after a Transient, and given up before the group goes on',
    async run(t, adapter) {
      const location = await newLocation();
      const bus = await openFor(t, adapter, location);
      await bus.publish('t', all('a'));
      const steps = new Map<number, string[]>();
      const note = (partition: number, step: string) => steps.set(partition, [...(steps.get(partition) ?? []), step]);
      let handled = 0;
      const subscription = bus.subscribe(
        {
          ...{ topic: 't', group: 'g', ...wide },
          async taken({ partition, isOurs }) {
            await delay(50);
            assert(isOurs());
            if (!steps.has(partition)) {
              note(partition, 'failed');
              throw new Transient('not yet');
            }
            note(partition, 'taken');
            return async () => {
              await delay(50);
              assert(isOurs(), 'it was another’s before it was given up');
              note(partition, 'given up');
            };
          },
        },
        async (plan) => {
          note(plan.partition, 'plan');
          handled += plan.records.length;
        },
      );
      await until('all is handled', () => handled === KEYS.length);
      await subscription.close();
      for (const each of steps.values()) {
        assert.deepEqual(each.slice(0, 2), ['failed', 'taken']);
        assert.equal(each.at(-1), 'given up');
      }
      assert.equal((await bus.lag('t', 'g')).records, 0);
    },
  },
  {
    name: 'of two subscriptions of a group never both say that a partition is theirs',
    async run(t, adapter) {
      const location = await newLocation();
      const holds: Hold[][] = [[], []];
      const join = async (into: Hold[]): Promise<void> => {
        const bus = await openFor(t, adapter, location);
        const taken = async (hold: Hold) => {
          into.push(hold);
          return async () => {};
        };
        bus.subscribe({ topic: 't', group: 'g', ...wide, taken }, async () => {}).done.catch(() => {});
      };
      const owned = (of: Hold[]) => new Set(of.filter((hold) => hold.isOurs()).map(({ partition }) => partition));
      await join(holds[0]!);
      await until('the first has some', () => owned(holds[0]!).size > 0);
      const before = owned(holds[0]!).size;
      await join(holds[1]!);
      await until('the second has some', () => {
        const [first, second] = [owned(holds[0]!), owned(holds[1]!)];
        assert.deepEqual(
          [...first].filter((partition) => second.has(partition)),
          [],
        );
        return second.size > 0;
      });
      assert(owned(holds[0]!).size < before);
    },
  },
  {
    name: 'a handler may leave its plan to whoever has the partition now',
    async run(t, adapter) {
      const location = await newLocation();
      const first = await openFor(t, adapter, location);
      const enough = Promise.withResolvers<void>();
      const left = (over: AbortSignal) =>
        new Promise<void>((_, reject) => over.addEventListener('abort', () => reject(over.reason)));
      const options = { topic: 't', group: 'g', ...wide };
      const leave = first.subscribe(options, (_, over) => Promise.race([enough.promise, left(over)]));
      await first.publish('t', all('a'));
      await until('all have a plan', async () => (await first.lag('t', 'g')).records === KEYS.length);
      const second = await openFor(t, adapter, location);
      let handled = 0;
      second.subscribe(options, async ({ records }) => {
        handled += records.length;
      });
      await until('some have moved', () => handled > 0);
      assert.equal(await Promise.race([leave.done.then(() => 'ended'), delay(200, 'goes on')]), 'goes on');
      enough.resolve();
    },
  },
  {
    name: 'a pen that another took appends no more, and what it appended is handed over before',
    async run(t, adapter) {
      const location = await newLocation();
      const bus = await openFor(t, adapter, location);
      const other = await openFor(t, adapter, location);
      const first = await takePen(bus, 0);
      await first.append([message('a', 'a'), message('b', 'b')]);
      await first.append([message('c', 'c')]);
      const { seen, follower } = await watch(bus, COMPACTED);
      const second = await takePen(other, 0);
      await follower.catchUp();
      assert.deepEqual(
        seen.map(({ value }) => value),
        ['a', 'b', 'c'],
      );
      await assert.rejects(first.append([message('a', 'late')]), Transient);
      await assert.rejects(first.append([message('a', 'later')]), Transient);
      await second.append([message('a', 'new')]);
      const third = await takePen(bus, 0);
      await third.append([message('b', 'newer')]);
      await assert.rejects(second.append([message('a', 'late')]), Transient);
      await follower.catchUp();
      assert.deepEqual(
        seen.map(({ value }) => value),
        ['a', 'b', 'c', 'new', 'newer'],
      );
      await Promise.all([first, second, third].map((journal) => journal.close()));
      await assert.rejects(third.append([message('a', 'closed')]), Transient);
    },
  },
  {
    name: 'a journal writes to its own partition, and pens of several are independent',
    async run(t, adapter) {
      const bus = await openFor(t, adapter, await newLocation());
      const count = await bus.partitions(COMPACTED);
      const pens = await Promise.all(Array.from({ length: count }, (_, partition) => takePen(bus, partition)));
      for (const round of [1, 2])
        await Promise.all(pens.map((pen, n) => pen.append(KEYS.map((key) => message(key, `${round} of ${n}`)))));
      const { seen } = await watch(bus, COMPACTED);
      assert.equal(new Set(seen.map(({ partition }) => partition)).size, count);
      for (const { value, partition } of seen) assert.match(value, new RegExp(` of ${partition}$`));
    },
  },
  {
    name: 'a follower catches up with what was published before it was asked',
    async run(t, adapter) {
      const location = await newLocation();
      const bus = await openFor(t, adapter, location);
      const elsewhere = await openFor(t, adapter, location);
      const { seen, follower } = await watch(bus, 't');
      await follower.catchUp();
      for (let round = 1; round <= 20; round += 1) {
        await elsewhere.publish('t', all(`${round}`));
        await follower.catchUp();
        assert.equal(seen.length, round * KEYS.length);
      }
      await follower.close();
    },
  },
];
