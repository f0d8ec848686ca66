import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { COMPACTED, hold, letGo, message, newLocation, take, text, until, wide } from './bus.contract.kit.ts';
import { busContract } from './bus.contract.ts';
import type { Bus, BusRecord } from './bus.ts';
import { SetupError, Transient } from './errors.ts';
import { open } from './sqlite-bus.contract.ts';
import { openSqliteBus, type SqliteBusOptions } from './sqlite-bus.ts';

busContract({
  name: 'sqlite',
  open,
  module: new URL('./sqlite-bus.contract.ts', import.meta.url),
  takesOver: true,
  skip: {
    'a handler may leave its plan to whoever has the partition now':
      'there is no rebalance: the one partition is taken over, which ends who had it',
  },
});

const fast = { compactedTopics: [COMPACTED], upkeepEveryMs: 5 };

function openAt(t: TestContext, folder: string, options: Partial<SqliteBusOptions> = {}): Bus {
  const bus = openSqliteBus({ path: join(folder, 'bus.db'), ...fast, ...options });
  t.after(() => letGo(bus));
  return bus;
}

/** Everything the topic still holds, as a reader without a group sees it. */
async function contents(bus: Bus, topic: string): Promise<string[]> {
  const seen: string[] = [];
  const follower = await bus.follow(topic, (records) => {
    for (const { value } of records) seen.push(text(value));
  });
  await follower.close();
  return seen;
}

async function fill(bus: Bus, topic: string): Promise<number> {
  for (let published = 0; ; published += 1) {
    try {
      await bus.publish(topic, [{ key: 'k', value: randomBytes(20_000) }]);
    } catch (error) {
      assert(error instanceof Transient);
      return published;
    }
  }
}

test('records all groups have acknowledged are removed, others stay', async (t) => {
  const bus = openAt(t, await newLocation());
  const slow = hold(bus, { topic: 't', group: 'slow', maxRecords: 2, maxBytes: 100 });
  await bus.publish(
    't',
    ['a', 'b', 'c', 'd'].map((value) => message('k', value)),
  );
  await take(bus, { topic: 't', group: 'quick', ...wide }, 4);
  (await slow.next()).acknowledge();
  const held = await slow.next();
  await until('the acknowledged half is gone', async () => (await contents(bus, 't')).join() === 'c,d');
  held.acknowledge();
  await until('the rest is gone', async () => (await contents(bus, 't')).length === 0);
  await bus.publish('t', [message('k', 'e')]);
  assert.equal((await slow.next()).plan.from, 4);
});

test('the records of the next plan are handed ahead while one is in hand, no more than a plan holds', async (t) => {
  const bus = openAt(t, await newLocation());
  const values = ['a', 'b', 'c', 'd', 'e'];
  await bus.publish(
    't',
    values.map((value) => message('k', value)),
  );
  const ahead: string[] = [];
  const limits = { topic: 't', group: 'g', maxRecords: 2, maxBytes: 100 };
  const prepare = (records: readonly BusRecord[]) => ahead.push(...records.map(({ value }) => text(value)));
  const group = hold(bus, { ...limits, ahead: { prepare, forget: () => assert.fail() } });
  const first = await group.next();
  await until('they are read', () => ahead.length > 0);
  assert.deepEqual(ahead, ['c', 'd']);
  first.acknowledge();
  await group.next();
});

test('a subscriber that throws on what comes ahead rejects done', async (t) => {
  const bus = openAt(t, await newLocation());
  await bus.publish('t', [message('k', 'a'), message('k', 'b')]);
  const fail = () => {
    throw new RangeError('no');
  };
  const subscription = bus.subscribe(
    { topic: 't', group: 'g', maxRecords: 1, maxBytes: 100, ahead: { prepare: fail, forget() {} } },
    async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
    },
  );
  await assert.rejects(subscription.done, RangeError);
});

test('a compacted topic keeps only the newest record of each key, and nothing a group has still to read', async (t) => {
  const bus = openAt(t, await newLocation());
  await bus.publish(
    COMPACTED,
    ['x1', 'y1', 'x2', 'z1', 'x3', 'y2'].map((value) => message(value[0]!, value)),
  );
  await until('it is compacted', async () => (await contents(bus, COMPACTED)).join() === 'z1,x3,y2');
  const group = hold(bus, { topic: COMPACTED, group: 'g', maxRecords: 2, maxBytes: 100 });
  const held = await group.next();
  assert.deepEqual(
    held.plan.records.map((record) => text(record.value)),
    ['z1', 'x3'],
  );
  assert.equal((await bus.lag(COMPACTED, 'g')).records, 3);
  await bus.publish(COMPACTED, [message('x', 'x4'), message('w', 'w1')]);
  await take(bus, { topic: COMPACTED, group: 'other', ...wide }, 5);
  assert.deepEqual(await contents(bus, COMPACTED), ['z1', 'x3', 'y2', 'x4', 'w1']);
  held.acknowledge();
  (await group.next()).acknowledge();
  (await group.next()).acknowledge();
  await until('x3 is superseded', async () => (await contents(bus, COMPACTED)).join() === 'z1,y2,x4,w1');
});

test('a full bus refuses publishes as Transient until its readers have caught up, and never a small topic', async (t) => {
  const bus = openAt(t, await newLocation(), { maxBytes: 1_000_000 });
  const { next } = hold(bus, { topic: 't', group: 'g', maxRecords: 1_000, maxBytes: 10_000_000 });
  await bus.publish('t', [message('k', 'first')]);
  const first = await next();
  const published = await fill(bus, 't');
  assert(published > 40 && published < 50, `${published} times 20 kB fit into 1 MB`);
  assert.equal(await fill(bus, 't'), 0);
  await bus.publish('small', [{ key: 'k', value: randomBytes(30_000) }]);
  first.acknowledge();
  (await next()).acknowledge();
  await until('there is room again', async () => (await fill(bus, 't')) > 0);
});

test('a topic no group reads loses what is older than the retention, and the oldest when the bus is full', async (t) => {
  const folder = await newLocation();
  const forgetful = openAt(t, folder, { retentionMs: 0 });
  await forgetful.publish('unread', [message('k', 'a')]);
  await until('it is removed', async () => (await contents(forgetful, 'unread')).length === 0);
  await forgetful.close();
  const bus = openAt(t, folder, { maxBytes: 1_000_000 });
  await bus.follow('other', () => {});
  assert((await fill(bus, 'unread')) > 0);
  await until('old ones made room', async () => (await fill(bus, 'unread')) > 0);
});

test('a drained bus gives its disk space back', async (t) => {
  const folder = await newLocation();
  const bus = openAt(t, folder);
  const group = hold(bus, { topic: 't', group: 'g', maxRecords: 1_000, maxBytes: 100_000_000 });
  for (let n = 0; n < 60; n += 1) await bus.publish('t', [{ key: 'k', value: randomBytes(400_000) }]);
  await take(bus, { topic: 't', group: 'other', maxRecords: 1_000, maxBytes: 1_000_000 }, 60);
  const before = statSync(join(folder, 'bus.db')).size;
  assert(before > 20_000_000);
  const acknowledge = async (): Promise<void> => {
    for (;;) (await group.next()).acknowledge();
  };
  void acknowledge();
  await until('the file is small', () => statSync(join(folder, 'bus.db')).size < 8_000_000);
});

test('records packed and plain, small and large, are read back as they were', async (t) => {
  const bus = openAt(t, await newLocation());
  const sizes = [600, 0, 511, 100_000, 1, 512, 3_000_000, 20_000];
  const values = sizes.map((size, n) => (n % 3 === 2 ? randomBytes(size) : Buffer.alloc(size, `${n}`)));
  await bus.publish(
    't',
    values.map((value) => ({ key: 'k', value })),
  );
  const plans = await take(bus, { topic: 't', group: 'g', maxRecords: 100, maxBytes: 10_000_000 }, values.length);
  const read = plans.flatMap(({ records }) => records.map(({ value }) => Buffer.from(value)));
  for (const [n, value] of values.entries()) assert(read[n]!.equals(value), `record ${n} of ${value.length} bytes`);
});

test('values are compressed where it pays', async (t) => {
  const folder = await newLocation();
  const bus = openAt(t, folder);
  await bus.publish('t', [message('k', 'again and again '.repeat(200_000))]);
  assert.equal((await contents(bus, 't'))[0]!.length, 3_200_000);
  await bus.close();
  assert(statSync(join(folder, 'bus.db')).size < 200_000);
});

test('a second subscription of a group takes it over: the first can no longer acknowledge', async (t) => {
  const bus = openAt(t, await newLocation());
  await bus.publish('t', [message('k', 'a')]);
  const first = hold(bus, { topic: 't', group: 'g', ...wide });
  const held = await first.next();
  const second = hold(bus, { topic: 't', group: 'g', ...wide });
  const again = await second.next();
  held.acknowledge();
  await assert.rejects(first.subscription.done, SetupError);
  assert.equal((await bus.lag('t', 'g')).records, 1);
  again.acknowledge();
  await until('it is acknowledged', async () => (await bus.lag('t', 'g')).records === 0);

  const third = hold(bus, { topic: 't', group: 'g', ...wide });
  await bus.publish('t', [message('k', 'b')]);
  await assert.rejects(second.subscription.done, SetupError);
  assert.equal(text((await third.next()).plan.records[0]!.value), 'b');
});

test('publish is Transient while another process holds the file', async (t) => {
  const folder = await newLocation();
  const bus = openAt(t, folder);
  await bus.publish('t', [message('k', 'a')]);
  const other = new DatabaseSync(join(folder, 'bus.db'));
  other.exec('BEGIN IMMEDIATE');
  await assert.rejects(bus.publish('t', [message('k', 'b')]), Transient);
  other.exec('ROLLBACK');
  other.close();
  await bus.publish('t', [message('k', 'c')]);
  assert.deepEqual(await contents(bus, 't'), ['a', 'c']);
});

test('readers still wake up when the wake file is gone', async (t) => {
  const folder = await newLocation();
  const reader = openAt(t, folder);
  const { next } = hold(reader, { topic: 't', group: 'g', ...wide });
  rmSync(join(folder, 'bus.db-wake'));
  await openAt(t, folder).publish('t', [message('k', 'a')]);
  assert.equal(text((await next()).plan.records[0]!.value), 'a');
});

test('what cannot be a bus is a SetupError that names the file', async () => {
  const folder = await newLocation();
  const path = join(folder, 'bus.db');
  assert.throws(() => openSqliteBus({ ...fast, path: join(folder, 'missing', 'bus.db') }), SetupError);
  writeFileSync(path, 'this is no database, and long enough to be sure of it'.repeat(100));
  assert.throws(
    () => openSqliteBus({ ...fast, path }),
    (error) => error instanceof SetupError && error.message.includes(path),
  );
  rmSync(path);
  const newer = new DatabaseSync(path);
  newer.exec('PRAGMA user_version = 99');
  newer.close();
  assert.throws(
    () => openSqliteBus({ ...fast, path }),
    (error) => error instanceof SetupError && error.message.includes('99'),
  );
});

test('a closed bus says so', async (t) => {
  const bus = openAt(t, await newLocation());
  await bus.close();
  await bus.close();
  await assert.rejects(bus.publish('t', [message('k', 'a')]), /closed/);
  assert.throws(() => bus.subscribe({ topic: 't', group: 'g', ...wide }, async () => {}), /closed/);
});

test('a reader that fails while nobody listens to done ends the process', async () => {
  const module = JSON.stringify(new URL('./sqlite-bus.contract.ts', import.meta.url).href);
  for (const read of [
    `bus.subscribe({ topic: 't', group: 'g', maxRecords: 1, maxBytes: 1 }, async () => { throw new Error('unheard') });`,
    `await bus.follow('t', () => { throw new Error('unheard') });`,
  ]) {
    const script = `import { open } from ${module};
      const bus = open(${JSON.stringify(await newLocation())});
      ${read}
      await bus.publish('t', [{ key: '', value: new Uint8Array() }]);
      setInterval(() => {}, 1000);`;
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    assert.equal(status, 1);
    assert.match(stderr, /unheard/);
  }
});

test('a subscription waits for a locked file instead of failing', async (t) => {
  const folder = await newLocation();
  const bus = openAt(t, folder);
  await bus.publish('t', [message('k', 'a')]);
  const other = new DatabaseSync(join(folder, 'bus.db'));
  other.exec('BEGIN IMMEDIATE');
  const { next } = hold(bus, { topic: 't', group: 'g', ...wide });
  other.exec('ROLLBACK');
  other.close();
  assert.equal(text((await next()).plan.records[0]!.value), 'a');
});
