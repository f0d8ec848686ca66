import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { identity, text, until } from './bus.contract.kit.ts';
import { Transient } from './errors.ts';
import { drained, fine, publish, setUp } from './pump.kit.ts';

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
