import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import type { Fault, Received } from '@bintrail/test/slack-receiver.ts';
import fc from 'fast-check';
import { digestOf, makeFinding } from './finding.fixture.ts';
import {
  deliveries,
  drained,
  eventually,
  makeStand,
  publishFindings,
  publishResolve,
  START_MS,
  shownText,
  statesOf,
  toldPaths,
} from './notify.kit.ts';

const group = (n: number) => makeFinding({ sha256: digestOf(n), path: `/opt/${n}` });
const groups = (count: number) => Array.from({ length: count }, (_, n) => group(n));

const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.constantFrom('0', '1', '30').map((retryAfter): Fault => ({ kind: 'rate-limited', retryAfter })),
  fc.constantFrom(500, 502, 503).map((status): Fault => ({ kind: 'status', status, body: 'rollup_error' })),
  fc.record({ kind: fc.constantFrom('garbage' as const, 'reset' as const), recorded: fc.boolean() }),
);

/** The sender cannot tell whether this post arrived. */
const isLost = (each: Fault) => 'recorded' in each || (each.kind === 'status' && each.status === 502);

/** Messages that tell of something an earlier one told of. */
function repeating(messages: readonly Received[]): Received[] {
  const told = new Set<string>();
  return messages.filter((message) => {
    const paths = toldPaths(message).map(({ path }) => path);
    const repeats = paths.some((path) => told.has(path));
    for (const path of paths) told.add(path);
    return repeats;
  });
}

test('after any faults every group was told; twice only where the answer was lost, and then marked', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fault, { maxLength: 12 }), fc.integer({ min: 1, max: 25 }), async (faults, count) => {
      const { bus, receiver, start } = await makeStand(t);
      receiver.fail(...faults);
      const notify = await start();
      await publishFindings(bus, groups(count));
      await drained(bus, notify);
      await notify.close();
      const told = receiver.messages.flatMap(toldPaths);
      for (const { path } of groups(count)) {
        const about = told.filter((each) => each.path === path);
        assert.ok(about.length >= 1, `${path} is lost`);
        assert.ok(
          about.slice(1).every(({ marked }) => marked),
          `${path} is repeated without a mark`,
        );
      }
      const arrived = faults.filter((each) => 'recorded' in each && each.recorded);
      assert.ok(repeating(receiver.messages).length <= arrived.length, 'repeated although nothing had arrived');
      assert.ok(faults.some(isLost) || !told.some(({ marked }) => marked), 'marked although every answer came');
      const times = [START_MS, ...receiver.attempts.map(({ atMs }) => atMs)];
      for (const [n, atMs] of times.slice(1).entries()) assert.ok(atMs - times[n]! >= 1000, `too fast: ${times}`);
    }),
    { numRuns: 25 },
  );
});

test('a post that hangs is given up, tried again and marked', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  receiver.fail({ kind: 'hang', recorded: true });
  const notify = await start({ postTimeoutMs: 500 });
  await publishFindings(bus, [group(1)]);
  await drained(bus, notify);
  assert.deepEqual(receiver.messages.flatMap(toldPaths), [
    { path: '/opt/1', marked: false },
    { path: '/opt/1', marked: true },
  ]);
});

test('Retry-After holds for the whole webhook', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  receiver.fail({ kind: 'rate-limited', retryAfter: '30' });
  const notify = await start();
  await publishFindings(bus, groups(5));
  await drained(bus, notify);
  const [first, second] = receiver.attempts.map(({ atMs }) => atMs);
  assert.ok(second! - first! >= 30_000, `${second! - first!} ms`);
  assert.equal(receiver.messages.length, 5);
});

test('a webhook that is gone is named with its remedy, nothing is lost, and its URL is nowhere', async (t) => {
  const stand = await makeStand(t);
  const { bus, receiver, start, log } = stand;
  for (const _ of Array(3)) receiver.fail({ kind: 'status', status: 404, body: 'no_service' });
  const seen: unknown[] = [];
  const healths = new Set<string>();
  const notify = await start({
    sleep: async (ms, signal) => {
      seen.push(notify.status().last_post);
      healths.add(notify.health().state);
      await stand.time.sleep(ms, signal);
    },
  });
  await publishFindings(bus, groups(20));
  await drained(bus, notify);
  assert.deepEqual([...healths], ['up', 'degraded']);
  assert.equal(notify.health().state, 'up');
  assert.match(JSON.stringify(seen), /"result":"rejected","code":"no_service","remedy":"[^"]*SLACK_WEBHOOK_URL/);
  const complaint = log.map((line) => JSON.parse(line)).find(({ level }) => level === 'error');
  assert.match(complaint?.remedy, /SLACK_WEBHOOK_URL/);
  assert.equal(receiver.messages.flatMap(toldPaths).length, 20);
  assert.match(await stand.metrics(), /posts_total\{result="rejected",code="no_service"\} 3/);
  assert.match(await stand.metrics(), /notify_webhook_rejected 0/);
  const secret = new URL(receiver.url).pathname.split('/').at(-1)!;
  for (const text of [...log, await stand.metrics(), JSON.stringify(await deliveries(bus))]) {
    assert.ok(!text.includes(secret), text);
  }
});

test('a message that Slack does not understand is told without blocks, and does not hold up others', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  receiver.fail({ kind: 'status', status: 400, body: 'invalid_blocks' });
  const notify = await start();
  await publishFindings(bus, groups(3));
  await drained(bus, notify);
  assert.deepEqual(
    receiver.messages.map(({ blocks }) => blocks === undefined),
    [true, false, false],
  );
  assert.deepEqual(
    receiver.messages.map(({ text }) => text!.match(/\/opt\/\d/)?.[0]),
    ['/opt/0', '/opt/1', '/opt/2'],
  );
  assert.match(shownText(receiver.messages[0]!), /curl/);
});

test('a message that Slack takes in no form waits alone', async (t) => {
  const { bus, receiver, time, start } = await makeStand(t);
  for (const _ of Array(2)) receiver.fail({ kind: 'status', status: 400, body: 'invalid_payload' });
  const notify = await start();
  await publishFindings(bus, groups(3));
  await drained(bus, notify);
  assert.deepEqual(
    receiver.messages.map(({ text }) => text!.match(/\/opt\/\d/)?.[0]),
    ['/opt/1', '/opt/2', '/opt/0'],
  );
  assert.ok(time.clock() >= START_MS + 3_600_000);
});

/** A bus on which a delivery is not written while `when` holds. */
const refusing = (bus: Bus, when: () => Promise<boolean>): Bus => ({
  ...bus,
  async journal(topic, partition) {
    const journal = await bus.journal(topic, partition);
    return {
      ...journal,
      async append(messages) {
        if (await when()) throw new Transient('disk full');
        await journal.append(messages);
      },
    };
  },
});

test('a bus that fails after the post does not make it be posted again', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  let refusals = 3;
  const flaky = refusing(bus, async () => receiver.attempts.length > 0 && refusals-- > 0);
  const notify = await start({ bus: flaky });
  await publishFindings(bus, [group(1)]);
  await drained(bus, notify);
  assert.equal(receiver.messages.length, 1);
  assert.deepEqual(await statesOf(bus), ['queued', 'planned', 'sent']);
});

test('nothing is posted that could not be recorded before', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  let refused = 0;
  const full = refusing(bus, async () => {
    const isFull = (await statesOf(bus)).length > 0;
    if (isFull) refused += 1;
    return isFull;
  });
  const notify = await start({ bus: full });
  await publishFindings(bus, [group(1)]);
  await eventually(() => refused > 3);
  await notify.close();
  assert.equal(receiver.attempts.length, 0);
});

test('an episode that opens while the last one is being posted is told too', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  receiver.fail({ kind: 'hang', recorded: true });
  const notify = await start();
  await publishFindings(bus, [group(1)]);
  await receiver.until(() => receiver.attempts.length === 1);

  await publishResolve(bus, group(1));
  await publishFindings(bus, [group(1)]);
  await eventually(async () => (await statesOf(bus)).length === 3);
  receiver.hangUp();
  await drained(bus, notify);
  assert.deepEqual(await statesOf(bus), ['queued', 'planned', 'queued', 'planned', 'sent']);
  assert.equal(receiver.messages.length, 2);
  assert.match(shownText(receiver.messages[1]!), /seen again/);
});
