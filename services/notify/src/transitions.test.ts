import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Delivery, decodeDelivery, encodeDelivery, MAX_FINDINGS, type Pending } from './delivery.ts';
import { MAX_MEMBERS } from './episode.ts';
import { makeFinding } from './finding.fixture.ts';
import { DEFAULT_RETRY, retryAfter } from './retry.ts';
import type { PostResult } from './slack.ts';
import { dueAtMs, plan, receive, recover, settle, withdraw } from './transitions.ts';

const NOW = Date.parse('2026-11-23T12:00:00Z');
const finding = (n: number) => makeFinding({ workload: `container/docker/c${n}` });

/** A world of findings of one group, in which somebody resolves them. */
function makeWorld(hasWebhook = true) {
  const resolved = new Map<string, number>();
  let delivery: Delivery | undefined;
  return {
    get delivery() {
      return delivery;
    },
    set: (next: Delivery) => {
      delivery = next;
    },
    /** True when the finding has to be told. */
    see(n: number): boolean {
      const episodeOf = (id: string) => resolved.get(id) ?? 0;
      const next = receive(delivery, finding(n), { episodeOf, hasWebhook, nowMs: NOW });
      const opened = next?.state === 'queued' && (delivery?.state !== 'queued' || next.episode !== delivery.episode);
      delivery = next ?? delivery;
      return opened;
    },
    resolve: (...numbers: number[]) => {
      for (const n of numbers) resolved.set(finding(n).finding_id, (resolved.get(finding(n).finding_id) ?? 0) + 1);
    },
    send() {
      delivery = settle(plan(delivery as Pending, 'd', NOW), { kind: 'sent' }, undefined, NOW);
    },
  };
}

test('a group is told once, in whatever workloads and however often it is seen', () => {
  const world = makeWorld();
  assert.ok(world.see(1));
  world.send();
  assert.ok(![1, 1, 2, 3, 2].some((n) => world.see(n)));
  assert.equal(world.delivery?.state, 'sent');
});

test('what was resolved and is seen again is told again, in each workload', () => {
  const world = makeWorld();
  world.see(1);
  world.see(2);
  world.send();
  world.resolve(1);
  assert.ok(world.see(1));
  world.send();
  world.resolve(2);
  assert.ok(world.see(2));
});

test('a group resolved in one go is told once when it is back', () => {
  const world = makeWorld();
  for (const n of [1, 2, 3]) world.see(n);
  world.send();
  world.resolve(1, 2, 3);
  assert.ok(world.see(2));
  world.send();
  assert.ok(!world.see(1) && !world.see(3) && !world.see(2));
});

test('a resolved group that spreads to a new workload is told again', () => {
  const world = makeWorld();
  world.see(1);
  world.send();
  world.resolve(1);
  assert.ok(world.see(2));
});

test('a finding published twice is not told again, also after another one opened an episode', () => {
  const world = makeWorld();
  world.see(1);
  world.see(2);
  world.send();
  world.resolve(1);
  assert.ok(!world.see(2), 'never resolved');
  assert.ok(world.see(1));
  world.send();
  assert.ok(!world.see(1) && !world.see(2));
});

test('a finding resolved after it was last told is told when it is back, whatever happens in between', () => {
  const step = fc.record({ n: fc.integer({ min: 1, max: 4 }), what: fc.constantFrom('see', 'resolve', 'send') });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 4 }), (steps, n) => {
      const world = makeWorld();
      world.see(n);
      for (const { what, n: other } of steps) {
        if (what === 'see') world.see(other);
        else if (what === 'resolve') world.resolve(other);
        else if (world.delivery?.state === 'queued') world.send();
      }
      if (world.delivery?.state === 'queued') world.send();
      world.resolve(n);
      assert.ok(world.see(n));
    }),
  );
});

test('an episode that opens before the last one was told takes over what that had to tell', () => {
  const world = makeWorld();
  world.see(1);
  world.see(2);
  world.resolve(1);
  assert.ok(world.see(1));
  const { findings, more } = world.delivery as Pending;
  assert.deepEqual(
    findings.map(({ workload }) => workload),
    [finding(1).workload, finding(2).workload],
  );
  assert.equal(more, 0);
});

test('throw-away workloads do not let a group grow for ever, and a forgotten one is told rather than lost', () => {
  const world = makeWorld();
  for (let n = 0; n <= MAX_MEMBERS + 50; n++) world.see(n);
  assert.equal(Object.keys(world.delivery!.members).length, MAX_MEMBERS);
  assert.equal((world.delivery as Pending).findings.length, MAX_FINDINGS);
  assert.equal((world.delivery as Pending).more, MAX_MEMBERS - MAX_FINDINGS);
  world.send();
  assert.ok(!world.see(0), 'forgotten, but never resolved');
  world.resolve(1);
  assert.ok(world.see(1));
});

test('what a forgotten workload was resolved still counts', () => {
  const world = makeWorld();
  world.see(1);
  world.resolve(1);
  assert.ok(world.see(1));
  for (let n = 2; n <= MAX_MEMBERS + 50; n++) world.see(n);
  world.send();
  world.resolve(MAX_MEMBERS);
  assert.ok(world.see(MAX_MEMBERS));
});

test('without a webhook nothing is kept to be told later, but what is new after that is', () => {
  const before = makeWorld(false);
  before.see(1);
  assert.equal(before.delivery?.state === 'withdrawn' && before.delivery.why, 'no_webhook');
  const later = makeWorld();
  later.set(before.delivery!);
  assert.ok(!later.see(1), 'known since before the webhook');
  assert.ok(later.see(2));
});

test('what was withdrawn as approved is told when detection reports it again', () => {
  const world = makeWorld();
  world.see(1);
  world.set(withdraw(world.delivery as Pending, 'approved', NOW));
  assert.ok(world.see(1));
});

test('the record of a long command line stays small', () => {
  const argv = ['x'.repeat(1e6), ...Array(5000).fill('y')];
  const { evidence } = finding(1);
  const ancestors = Array(50).fill({ exec_id: 'e', pid: 1, path: '/sh', argv });
  const long = { ...finding(1), evidence: { ...evidence, exec: { ...evidence.exec, argv, ancestors } } };
  const delivery = receive(undefined, long, { episodeOf: () => 0, hasWebhook: true, nowMs: NOW })!;
  assert.ok(encodeDelivery(delivery).length < 20_000);
});

const RESULTS: PostResult[] = [
  { kind: 'sent' },
  { kind: 'refused', code: 'http_429', retryAfterMs: 30_000 },
  { kind: 'unknown', code: 'timeout' },
  { kind: 'rejected', code: 'no_service', scope: 'webhook', remedy: 'r' },
  { kind: 'rejected', code: 'invalid_blocks', scope: 'message', remedy: 'r' },
];
const retryOf = (result: PostResult, wasPlain = false, failures = 1) =>
  result.kind === 'sent' ? undefined : retryAfter(result, wasPlain, failures, DEFAULT_RETRY);

test('every record reads back as it was written', () => {
  const queued = receive(undefined, finding(1), { episodeOf: () => 0, hasWebhook: true, nowMs: NOW }) as Pending;
  const planned = plan(queued, 'd', NOW);
  const settled = RESULTS.map((result) => settle(planned, result, retryOf(result), NOW));
  for (const record of [queued, planned, ...settled, withdraw(queued, 'resolved', NOW)]) {
    assert.deepEqual(decodeDelivery(encodeDelivery(record)), record);
  }
  assert.deepEqual(
    settled.map(({ state }) => state),
    ['sent', 'failed', 'failed', 'failed', 'failed'],
  );
  for (const bytes of ['', '{}', 'null', '{"v":2}']) assert.equal(decodeDelivery(Buffer.from(bytes)), undefined);
});

test('only a lost answer marks the next attempt, and the mark stays', () => {
  let delivery = receive(undefined, finding(1), { episodeOf: () => 0, hasWebhook: true, nowMs: NOW }) as Pending;
  const marks = [1, 3, 2, 1].map((which) => {
    const result = RESULTS[which]!;
    delivery = settle(plan(delivery, 'd', NOW), result, retryOf(result), NOW) as Pending;
    return delivery.may_repeat;
  });
  assert.deepEqual(marks, [false, false, true, true]);
  assert.equal(delivery.attempts, 4);
});

test('a crash after the plan makes the post due again, marked; a rejection is tried again unmarked', () => {
  const queued = receive(undefined, finding(1), { episodeOf: () => 0, hasWebhook: true, nowMs: NOW }) as Pending;
  const crashed = recover(plan(queued, 'd', NOW));
  assert.equal(crashed.state, 'queued');
  assert.ok((crashed as Pending).may_repeat);
  const failedWith = (result: PostResult) =>
    recover(settle(plan(queued, 'd', NOW), result, retryOf(result), NOW)) as Pending;
  assert.equal(dueAtMs(failedWith(RESULTS[3]!), NOW), NOW);
  assert.ok(!failedWith(RESULTS[3]!).may_repeat);
  assert.equal(dueAtMs(failedWith(RESULTS[1]!), NOW), NOW + 30_000);
  assert.equal(dueAtMs(failedWith(RESULTS[1]!), NOW - 1), 0, 'written by a clock that was ahead');
});

test('waits double up to the cap, and Retry-After is kept to but for what nobody can mean', () => {
  const wait = (result: PostResult, failures: number) => retryOf(result, false, failures)!.waitMs;
  assert.deepEqual(
    [1, 2, 3, 7, 1000].map((failures) => wait(RESULTS[2]!, failures)),
    [1000, 2000, 4000, 60_000, 60_000],
  );
  assert.equal(wait(RESULTS[1]!, 9), 30_000);
  assert.equal(wait({ kind: 'refused', code: 'http_429', retryAfterMs: 1e12 }, 1), 3_600_000);
});

test('a message Slack does not understand goes without blocks at once, then waits alone', () => {
  assert.deepEqual(retryOf(RESULTS[4]!), { scope: 'message', waitMs: 0, plain: true });
  assert.deepEqual(retryOf(RESULTS[4]!, true), { scope: 'message', waitMs: 3_600_000, plain: true });
  assert.deepEqual(retryOf(RESULTS[3]!), { scope: 'webhook', waitMs: 600_000, plain: false });
});
