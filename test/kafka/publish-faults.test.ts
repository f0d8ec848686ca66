import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  hold,
  letGo,
  message,
  newLocation,
  openFor,
  take,
  text,
  until,
  wide,
} from '@bintrail/runtime/bus.contract.kit.ts';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import { openKafkaBus } from '@bintrail/runtime/kafka-bus.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { whyNoKafka } from './broker.ts';
import { connectionOf, open, QUICK } from './contract.adapter.ts';
import { clusterForTests } from './for-tests.ts';
import { startProxy } from './proxy.ts';

const skip = whyNoKafka() ?? false;
const adapter = { name: 'kafka', open, module: new URL('./contract.adapter.ts', import.meta.url), takesOver: false };

/** Everything in the topic, in the order of its one key's partition. */
async function contents(bus: Bus): Promise<string[]> {
  const { records } = await bus.lag('t', 'reader');
  const plans = await take(bus, { topic: 't', group: 'reader', ...wide }, records);
  return plans.flatMap((plan) => plan.records.map(({ value }) => text(value)));
}

describe('publishing while answers are lost', { skip }, () => {
  test('what was stored without an answer takes nothing from what is published next', async (t) => {
    let brokerPort = 0;
    const proxy = await startProxy(() => brokerPort);
    t.after(proxy.close);
    const { cluster } = await clusterForTests(t, 1, { 'advertised.listeners': `PLAINTEXT://127.0.0.1:${proxy.port}` });
    brokerPort = Number(cluster.nodes[0]!.address.split(':')[1]);
    process.env.KAFKA_BROKERS = `127.0.0.1:${proxy.port}`;
    const bus = await openFor(t, adapter, await newLocation());
    await bus.publish('t', [message('k', 'first')]);
    proxy.losesAnswers = true;
    const unanswered = bus.publish('t', [message('k', 'unanswered')]);
    await assert.rejects(unanswered, Transient);
    proxy.losesAnswers = false;
    // The broker knows the sequence numbers of `unanswered`: the same ones with this would be taken for a repeat.
    await bus.publish('t', [message('k', 'next')]);
    const seen = await contents(bus);
    assert.deepEqual(
      seen.filter((value) => value !== 'unanswered'),
      ['first', 'next'],
    );
    assert.equal(seen.filter((value) => value === 'unanswered').length, 1);
  });
});

describe('three brokers', { skip }, () => {
  test('kill -9 of brokers while publishing and reading: what was acknowledged is there once, in order', async (t) => {
    const { cluster, brokers } = await clusterForTests(t, 3);
    process.env.KAFKA_BROKERS = brokers;
    const bus = await openFor(t, adapter, await newLocation());
    const doubtful = new Set<string>();
    const told: string[] = [];
    let going = true;
    const publishing = (async () => {
      for (let n = 0; going; n += 1) {
        const lot = Array.from({ length: 20 }, (_, i) => `${n}.${i}`);
        for (;;) {
          try {
            await bus.publish(
              't',
              lot.map((value) => message('k', value)),
            );
            break;
          } catch (error) {
            assert(error instanceof Transient, String(error));
            for (const value of lot) doubtful.add(value);
          }
        }
        told.push(...lot);
        await delay(5);
      }
    })();
    const seen: string[] = [];
    const reader = bus.subscribe({ topic: 't', group: 'g', ...wide }, async ({ records }) => {
      for (const { value } of records) seen.push(text(value));
    });
    const until = async (count: number): Promise<void> => {
      while (told.length < count) await delay(20);
    };
    await until(100);
    for (const node of cluster.nodes.slice(0, 2)) {
      // One of three leads a partition: at least every other kill here hits what is written or read.
      await node.signal('SIGKILL');
      await until(told.length + 100);
      await node.start();
      await until(told.length + 100);
    }
    going = false;
    await publishing;
    while ((await bus.lag('t', 'g')).records > 0) await delay(100);
    await reader.close();

    // Reading is at least once: a batch in hand when a broker died comes again.
    const order = [...new Set(seen)];
    assert.deepEqual(order, told);
    const stored = await contents(bus);
    const twice = stored.filter((value, at) => stored.indexOf(value) !== at);
    assert.deepEqual(
      twice.filter((value) => !doubtful.has(value)),
      [],
    );
  });
});

describe('a broker that stands still', { skip }, () => {
  test('a consumer that fetches nothing any more is replaced, and goes on with the broker', async (t) => {
    const { cluster, brokers } = await clusterForTests(t, 1);
    process.env.KAFKA_BROKERS = brokers;
    const location = await newLocation();
    await openFor(t, adapter, location);
    const lines: string[] = [];
    const log = createLog({ level: 'warn', name: 'test', write: (line) => lines.push(line) });
    const bus = openKafkaBus({ connection: connectionOf(location), log, timing: { ...QUICK, stallMs: 2_000 } });
    t.after(() => letGo(bus));
    await bus.publish('t', [message('k', 'before')]);
    const { next } = hold(bus, { topic: 't', group: 'g', ...wide });
    (await next()).acknowledge();
    const [node] = cluster.nodes;
    await node!.signal('SIGSTOP');
    await until('it is replaced', () => lines.some((line) => line.includes('the consumer has stalled')));
    await node!.signal('SIGCONT');
    await bus.publish('t', [message('k', 'after')]);
    let held = await next();
    // The acknowledgement may have been on its way when the broker stopped.
    if (text(held.plan.records[0]!.value) === 'before') {
      held.acknowledge();
      held = await next();
    }
    assert.equal(text(held.plan.records[0]!.value), 'after');
  });
});
