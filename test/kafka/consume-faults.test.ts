import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  hold,
  identity,
  letGo,
  message,
  newLocation,
  openFor,
  startProcess,
  take,
  text,
  until,
} from '@bintrail/runtime/bus.contract.kit.ts';
import type { Bus, Plan } from '@bintrail/runtime/bus.ts';
import { openKafkaBus } from '@bintrail/runtime/kafka-bus.ts';
import { createClient } from '@bintrail/runtime/kafka-client.ts';
import type { Gone } from '@bintrail/runtime/kafka-source.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { connectionOf, makeTopics, open, QUICK } from './contract.adapter.ts';
import { kafkaForTests } from './for-tests.ts';

await kafkaForTests();
const adapter = { name: 'kafka', open, module: new URL('./contract.adapter.ts', import.meta.url), takesOver: false };
const small = { topic: 't', group: 'g', maxRecords: 3, maxBytes: 1_000 };
const quiet = createLog({ level: 'silent', name: 'test' });

async function withAdmin<T>(
  location: string,
  ask: (admin: ReturnType<typeof createAdmin>, prefix: string) => Promise<T>,
) {
  const connection = connectionOf(location);
  const client = createClient(connection, quiet);
  const admin = createAdmin(client);
  await admin.connect();
  try {
    return await ask(admin, connection.prefix);
  } finally {
    await admin.disconnect();
    client.destroy();
  }
}
const createAdmin = ({ kafka }: ReturnType<typeof createClient>) => kafka.admin();

/** Keys of which each goes to another partition. */
const KEYS = ['k', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'];

async function keyOfEachPartition(bus: Bus): Promise<Map<number, string>> {
  await bus.publish(
    'u',
    KEYS.map((key) => message(key, key)),
  );
  const plans = await take(bus, { ...small, topic: 'u', group: 'keys' }, KEYS.length);
  const keys = new Map(plans.flatMap(({ partition, records }) => records.map(({ key }) => [partition, key] as const)));
  assert.equal(keys.size, 3);
  return keys;
}

test('a member that stood still past its session acknowledges nothing when it goes on', async (t) => {
  const location = await newLocation();
  const bus = await openFor(t, adapter, location);
  await bus.publish(
    't',
    ['1', '2', '3'].map((value) => message('k', value)),
  );
  const child = startProcess(t, new URL('./member.child.ts', import.meta.url), [location]);
  const first = await child.next();
  child.signal('SIGSTOP');
  const reader = hold(bus, small);
  const repeated = await reader.next();
  assert.deepEqual(identity(repeated.plan), first);
  await bus.publish(
    't',
    ['4', '5', '6'].map((value) => message('k', value)),
  );
  repeated.acknowledge();
  const second = await reader.next();
  assert.equal(second.plan.from, 3);
  writeFileSync(join(location, 'go'), '');
  child.signal('SIGCONT');
  // It rejoins, finishes its batch, and may get the partition with the batch that is ours now.
  await delay(3_000);
  const committed = await withAdmin(location, (admin, prefix) =>
    admin.fetchOffsets({ groupId: `${prefix}t.g`, topics: [`${prefix}t`] }),
  );
  const offsets = committed[0]!.partitions.map(({ offset }) => Number(offset));
  assert(Math.max(...offsets) >= 3, `went back to ${offsets}`);
  // Nothing when the partition stayed ours.
  const later = await Promise.race([child.next(), delay(500)]);
  if (later !== undefined) {
    assert.deepEqual([later.from, later.to], [second.plan.from, second.plan.to]);
  }
  await child.kill();
  second.acknowledge();
  await until('all is acknowledged', async () => {
    reader.next().then((held) => held.acknowledge());
    return (await bus.lag('t', 'g')).records === 0;
  });
});

test('a second member gets the batches of its partitions as they are; the first goes on with its own, and calls nobody twice', async (t) => {
  const location = await newLocation();
  const first = await openFor(t, adapter, location);
  const keys = await keyOfEachPartition(first);
  for (const key of keys.values()) await first.publish('t', [message(key, `of ${key}`)]);
  const one = hold(first, small);
  const held = await Promise.all([one.next(), one.next(), one.next()]);
  const second = await openFor(t, adapter, location);
  const two = hold(second, small);
  const before = new Map(held.map(({ plan }) => [plan.partition, plan]));
  const moved: number[] = [];
  const takeAll = async (): Promise<void> => {
    for (;;) {
      const { plan, acknowledge } = await two.next();
      assert.deepEqual(identity(plan), identity(before.get(plan.partition)!));
      moved.push(plan.partition);
      acknowledge();
    }
  };
  const taking = takeAll();
  await Promise.race([taking, until('some have moved', () => moved.length > 0)]);
  for (const each of held) each.acknowledge();
  const done = until('all is acknowledged', async () => (await first.lag('t', 'g')).records === 0);
  await Promise.race([taking, done]);
  assert.equal(new Set(moved).size, moved.length);
  assert(moved.length < 3, 'the first kept none');
  assert.equal(await Promise.race([one.next(), delay(500)]), undefined);
});

test('members come and go while they work: each batch has one form, and nothing is left out', async (t) => {
  const location = await newLocation();
  const publisher = await openFor(t, adapter, location);
  const keys = [...(await keyOfEachPartition(publisher)).values()];
  const plans: Plan[] = [];
  const running = new Map<Bus, Set<number>>();
  const join = async (): Promise<Bus> => {
    const bus = await openFor(t, adapter, location);
    const busy = new Set<number>();
    running.set(bus, busy);
    bus.subscribe(small, async (plan) => {
      assert(!busy.has(plan.partition), 'two handlers of one partition in one member');
      busy.add(plan.partition);
      plans.push(plan);
      await delay(plan.from % 7);
      busy.delete(plan.partition);
    });
    return bus;
  };
  const members = [await join()];
  let published = 0;
  for (let round = 0; round < 6; round += 1) {
    for (let n = 0; n < 20; n += 1, published += 1)
      await publisher.publish('t', [message(keys[published % 3]!, `${published}`)]);
    if (round % 2 === 0) members.push(await join());
    else await members.shift()!.close();
  }
  await until('all is acknowledged', async () => (await publisher.lag('t', 'g')).records === 0);
  const values = new Set<string>();
  const forms = new Map<string, ReturnType<typeof identity>>();
  for (const plan of plans) {
    const name = `${plan.partition}:${plan.from}`;
    assert.deepEqual(identity(plan), forms.get(name) ?? identity(plan));
    forms.set(name, identity(plan));
    for (const { value } of plan.records) values.add(text(value));
  }
  assert.equal(values.size, published);
  const ordered = [...forms.values()].toSorted((a, b) => a.partition - b.partition || a.from - b.from);
  for (const [n, plan] of ordered.entries()) {
    if (plan.from > 0) assert.equal(plan.from, ordered[n - 1]!.to);
  }
});

function watchedBus(t: TestContext, location: string, gone: Gone[], lines: string[] = []): Bus {
  const log = createLog({ level: 'warn', name: 'test', write: (line) => lines.push(line) });
  const connection = connectionOf(location);
  const bus = openKafkaBus({
    connection,
    log,
    timing: { ...QUICK, stallMs: 2_000 },
    onGone: (each) => gone.push(each),
  });
  t.after(() => letGo(bus));
  return bus;
}

test('a topic made anew has another id, and old offsets and batches do not count in it', async (t) => {
  const location = await newLocation();
  const bus = await openFor(t, adapter, location);
  await bus.publish(
    't',
    Array.from({ length: 9 }, (_, n) => message('k', `${n}`)),
  );
  const before = hold(bus, small);
  (await before.next()).acknowledge();
  const held = await before.next();
  assert.equal(held.plan.from, 3);
  await letGo(bus);
  await withAdmin(location, (admin, prefix) => admin.deleteTopics({ topics: [`${prefix}t`] }));
  await until('it is made anew', () =>
    withAdmin(location, async (admin, prefix) => {
      await makeTopics(admin, location);
      return (await admin.listTopics()).includes(`${prefix}t`);
    }),
  );
  const gone: Gone[] = [];
  const again = watchedBus(t, location, gone);
  await again.publish('t', [message('k', 'new')]);
  const [plan] = await take(again, small, 1);
  assert.equal(plan!.from, 0);
  assert.equal(text(plan!.records[0]!.value), 'new');
  assert.notEqual(plan!.busId, held.plan.busId);
  assert.deepEqual(gone, []);
});

test('records that retention took are counted, and what follows is read', async (t) => {
  const location = await newLocation();
  const bus = await openFor(t, adapter, location);
  await bus.publish(
    't',
    Array.from({ length: 10 }, (_, n) => message('k', `${n}`)),
  );
  const before = hold(bus, small);
  const { partition } = (await before.next()).plan;
  await letGo(bus);
  await withAdmin(location, async (admin, prefix) => {
    // Only then does kafkajs know who leads it.
    await admin.fetchTopicOffsets(`${prefix}t`);
    await admin.deleteTopicRecords({ topic: `${prefix}t`, partitions: [{ partition, offset: '8' }] });
  });
  const gone: Gone[] = [];
  const again = watchedBus(t, location, gone);
  const [plan] = await take(again, small, 2);
  assert.deepEqual([plan!.from, plan!.to], [8, 10]);
  assert.deepEqual(
    gone.map(({ partition, records }) => ({ partition, records })),
    [{ partition, records: 8 }],
  );
});
