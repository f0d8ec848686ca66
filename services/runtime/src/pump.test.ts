import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { decode } from 'cbor-x';
import { identity, letGo, message, newLocation, text, until } from './bus.contract.kit.ts';
import type { Bus, Plan } from './bus.ts';
import { Transient } from './errors.ts';
import { createLog } from './log.ts';
import { createMetrics } from './metrics.ts';
import { backoffMs, type Processed, type Pump, type PumpOptions, pump } from './pump.ts';
import { open } from './sqlite-bus.contract.ts';

const backoff = { baseMs: 1, capMs: 4 };

async function setUp(t: TestContext): Promise<{
  bus: Bus;
  location: string;
  lines: string[];
  value: (name: string) => Promise<number>;
  start(process: PumpOptions['process'], more?: Partial<PumpOptions>): Pump;
}> {
  const location = await newLocation();
  const bus = open(location);
  t.after(() => letGo(bus));
  const lines: string[] = [];
  const metrics = createMetrics();
  const common = { topic: 'work', group: 'g', stage: 'sorting', deadTopic: 'dead', maxRecords: 2, maxBytes: 1_000 };
  return {
    bus,
    location,
    lines,
    async value(name) {
      const { body } = await metrics.text();
      const line = body
        .split('\n')
        .find((each) => each.startsWith(`bintrail_stage_${name}{stage="sorting",topic="work"}`));
      return Number(line?.split(' ')[1]);
    },
    start: (process, more = {}) =>
      pump({
        bus,
        metrics,
        backoff,
        process,
        log: createLog({ level: 'info', name: 'test', write: (line) => lines.push(line) }),
        ...common,
        ...more,
      }),
  };
}

const fine = (plan: Plan): Processed => ({ in: plan.records.length, out: plan.records.length, dead: [] });
const publish = (bus: Bus, ...values: string[]): Promise<void> =>
  bus.publish(
    'work',
    values.map((value) => message('k', value)),
  );
const drained = (bus: Bus) => until('all work is acknowledged', async () => (await bus.lag('work', 'g')).records === 0);

test('plans are processed one after the other, acknowledged and counted', async (t) => {
  const { bus, start, value } = await setUp(t);
  const seen: string[] = [];
  await publish(bus, 'a', 'b', 'c');
  const { close, done } = start(async (plan) => {
    seen.push(plan.records.map((record) => text(record.value)).join(''));
    await turn();
    return { ...fine(plan), out: 10 };
  });
  await drained(bus);
  assert.deepEqual(seen, ['ab', 'c']);
  await publish(bus, 'd');
  await drained(bus);
  assert.equal(await value('in_total'), 4);
  assert.equal(await value('out_total'), 30);
  assert.equal(await value('dead_total'), 0);
  assert.equal(await value('retries_total'), 0);
  assert.equal(await value('batch_records_count'), 3);
  assert.equal(await value('batch_records_sum'), 4);
  assert.equal(await value('process_seconds_count'), 3);
  await close();
  await done;
});

test('health shows a plan that is tried again, and a pump that has ended', async (t) => {
  const { bus, start } = await setUp(t);
  await publish(bus, 'a');
  const healed = Promise.withResolvers<void>();
  let tries = 0;
  const { close, health } = start(async (plan) => {
    tries += 1;
    if (tries < 3) throw new Transient('the store is away');
    await healed.promise;
    return fine(plan);
  });
  assert.deepEqual(health(), { state: 'up' });
  await until('it is tried the third time', () => tries === 3);
  assert.equal(health().state, 'degraded');
  assert.match(health().detail ?? '', /^2 tries failed/);
  healed.resolve();
  await drained(bus);
  assert.deepEqual(health(), { state: 'up' });
  await close();
  assert.deepEqual(health(), { state: 'down' });
});

test('Transient: the same plan again until it succeeds, once acknowledged', async (t) => {
  const { bus, start, value, lines } = await setUp(t);
  await publish(bus, 'a', 'b', 'c');
  const tried: unknown[] = [];
  const { close } = start(async (plan) => {
    tried.push(identity(plan));
    if (tried.length < 4) throw new Transient('the store is away', { cause: new Error('ECONNREFUSED') });
    return fine(plan);
  });
  await drained(bus);
  assert.equal(tried.length, 5);
  for (const again of tried.slice(1, 4)) assert.deepEqual(again, tried[0]);
  assert.equal(await value('retries_total'), 3);
  assert.equal(await value('in_total'), 3);
  assert.equal(lines.length, 3);
  assert.match(lines[0]!, /the store is away.*ECONNREFUSED/);
  await close();
});

test('anything else ends the pump and leaves the plan for the next one', async (t) => {
  const { bus, start } = await setUp(t);
  await publish(bus, 'a', 'b', 'c');
  const bug = new TypeError('a bug');
  const plans: unknown[] = [];
  const first = start(async (plan) => {
    plans.push(identity(plan));
    throw bug;
  });
  await assert.rejects(first.done, (error) => error === bug);
  await first.close();
  assert.equal((await bus.lag('work', 'g')).records, 3);
  const second = start(async (plan) => {
    plans.push(identity(plan));
    return fine(plan);
  });
  await drained(bus);
  assert.deepEqual(plans[1], plans[0]);
  await second.close();
  await second.done;
});

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

test('close while waiting for the next try leaves the plan undone and ends without an error', async (t) => {
  const { bus, start, value } = await setUp(t);
  await publish(bus, 'a');
  const away = () => Promise.reject(new Transient('away', { retryAfterMs: 3_600_000 }));
  const first = start(away);
  await until('it waits', async () => (await value('retries_total')) === 1);
  await first.close();
  await first.done;

  const stop = new AbortController();
  const second = start(away, { signal: stop.signal });
  await until('it waits', async () => (await value('retries_total')) === 2);
  stop.abort();
  await second.done;
  await start(away, { signal: AbortSignal.abort() }).done;
  assert.equal((await bus.lag('work', 'g')).records, 1);
});

test('close waits for the running plan, which may give up early by its signal', async (t) => {
  const { bus, start, value } = await setUp(t);
  await publish(bus, 'a', 'b', 'c');
  const { promise: release, resolve } = Promise.withResolvers<void>();
  const { promise: started, resolve: hasStarted } = Promise.withResolvers<void>();
  const patient = start(async (plan) => {
    hasStarted();
    await release;
    return fine(plan);
  });
  await started;
  const closing = patient.close();
  resolve();
  await closing;
  await patient.done;
  assert.equal((await bus.lag('work', 'g')).records, 1);
  assert.equal(await value('in_total'), 2);

  const quitter = start(
    (_plan, signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  );
  await turn();
  await quitter.close();
  await quitter.done;
  assert.equal((await bus.lag('work', 'g')).records, 1);
});

test('lag is read at each scrape, and no longer once the pump has stopped', async (t) => {
  const { bus, start, value } = await setUp(t);
  await publish(bus, 'a', 'b', 'c');
  const { promise: release, resolve } = Promise.withResolvers<void>();
  const { close } = start(async (plan) => {
    await release;
    return fine(plan);
  });
  assert.equal(await value('lag_records'), 3);
  assert.ok((await value('oldest_unacked_seconds')) >= 0);
  resolve();
  await drained(bus);
  assert.equal(await value('lag_records'), 0);
  await close();
  assert.equal(await value('lag_records'), Number.NaN);
});

test('backoff doubles up to its cap, jitter takes at most half, and the dependency has the last word', () => {
  const limits = { baseMs: 100, capMs: 30_000 };
  assert.deepEqual(
    [0, 1, 2, 8, 9, 2_000].map((attempt) => backoffMs(attempt, 0, limits, 0)),
    [100, 200, 400, 25_600, 30_000, 30_000],
  );
  assert.equal(backoffMs(3, 0, limits, 1), 400);
  assert.equal(backoffMs(0, 5_000, limits, 0.5), 5_000);
  assert.equal(backoffMs(20, 5_000, limits, 0), 30_000);
  assert.equal(backoffMs(0, Number.POSITIVE_INFINITY, limits, 0), 2_147_483_647);
});
