import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { digestOf, makeFinding } from './finding.fixture.ts';
import {
  deliveries,
  drained,
  eventually,
  makeStand,
  publishApproval,
  publishFindings,
  publishResolve,
  START_MS,
  shownText,
  statesOf,
  toldPaths,
} from './notify.kit.ts';

/** Finding of the group that is number `n`, at `/opt/<n>`. */
const group = (n: number, workload?: string) =>
  makeFinding({ sha256: digestOf(n), path: `/opt/${n}`, ...(workload === undefined ? {} : { workload }) });
const groups = (count: number) => Array.from({ length: count }, (_, n) => group(n));

test('a finding is told once, with its evidence and counts, and each step is recorded', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  const notify = await start({ counts: async () => ({ count: 1204, nodes: 3, firstNs: 1n }) });
  await publishFindings(bus, [group(1)]);
  await drained(bus, notify);
  assert.equal(receiver.messages.length, 1);
  assert.match(shownText(receiver.messages[0]!), /`\/opt\/1`.*1,204 times on 3 nodes.*curl/s);
  assert.doesNotMatch(shownText(receiver.messages[0]!), /repeat/);
  assert.deepEqual(await statesOf(bus), ['queued', 'planned', 'sent']);
});

test('the plan is durable before the post', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  receiver.fail({ kind: 'hang', recorded: false });
  const notify = await start();
  await publishFindings(bus, [group(1)]);
  await receiver.until(() => receiver.attempts.length === 1);
  assert.deepEqual(await statesOf(bus), ['queued', 'planned']);
  receiver.hangUp();
  await drained(bus, notify);
});

test('a thousand findings of one group are one message', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  const workloads = Array.from({ length: 1000 }, (_, n) => group(1, `container/docker/c${n % 250}`));
  await publishFindings(bus, workloads);
  const notify = await start();
  await publishFindings(bus, workloads);
  await drained(bus, notify);
  assert.equal(receiver.messages.length, 1);
  assert.match(shownText(receiver.messages[0]!), /and at least 19\d more/);
});

test('the same plan of findings again changes nothing', async (t) => {
  const { bus, start } = await makeStand(t);
  const notify = await start();
  await publishFindings(bus, groups(3));
  await drained(bus, notify);
  const before = await deliveries(bus);
  await publishFindings(bus, groups(3));
  await drained(bus, notify);
  assert.deepEqual(await deliveries(bus), before);
});

test('what was resolved and comes back is told again, as soon as detection says so', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  const notify = await start();
  await publishFindings(bus, [group(1)]);
  await drained(bus, notify);
  for (const episode of [1, 2, 3]) {
    // The finding follows the action at once, as it may from detect: what came before it must be counted.
    await publishResolve(bus, group(1), episode);
    await publishFindings(bus, [group(1), group(1)]);
    await drained(bus, notify);
    assert.equal(receiver.messages.length, 1 + episode);
    assert.match(shownText(receiver.messages.at(-1)!), /seen again after it was resolved/);
  }
});

test('an action that the follower has not come to yet counts all the same', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  const lagging: typeof bus = {
    ...bus,
    async follow(topic, handler) {
      if (topic !== TOPICS.policy) return bus.follow(topic, handler);
      const held: (() => void)[] = [];
      const follower = await bus.follow(
        topic,
        (records, partition) => void held.push(() => handler(records, partition)),
      );
      const handOver = () => {
        for (const hand of held.splice(0)) hand();
      };
      handOver();
      return { ...follower, catchUp: () => follower.catchUp().then(handOver) };
    },
  };
  const notify = await start({ bus: lagging });
  await publishFindings(bus, [group(1)]);
  await drained(bus, notify);
  await publishResolve(bus, group(1));
  await publishFindings(bus, [group(1)]);
  await drained(bus, notify);
  assert.equal(receiver.messages.length, 2);
});

test('what was approved while it waited is withdrawn, and told when it is reported again', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  await publishApproval(bus, { sha256: [digestOf(1)] });
  const notify = await start();
  await publishFindings(bus, [group(1), group(2)]);
  await drained(bus, notify);
  assert.deepEqual(receiver.messages.flatMap(toldPaths), [{ path: '/opt/2', marked: false }]);
  const last = (await deliveries(bus)).findLast(({ group_id: id }) => id === group(1).group_id);
  assert.equal(last?.state === 'withdrawn' && last.why, 'approved');
});

for (const why of ['approved', 'resolved'] as const) {
  test(`what is ${why} between two attempts is withdrawn`, async (t) => {
    const { bus, receiver, time, start } = await makeStand(t);
    receiver.fail({ kind: 'rate-limited', retryAfter: '30' });
    let applied = 0;
    const watched: typeof bus = {
      ...bus,
      follow: (topic, handler) =>
        bus.follow(topic, (records, partition) => {
          handler(records, partition);
          if (topic === TOPICS.policy) applied += records.length;
        }),
    };
    const notify = await start({
      bus: watched,
      sleep: async (ms, signal) => {
        await time.sleep(ms, signal);
        if (receiver.attempts.length === 0) return;
        if (why === 'approved') await publishApproval(bus, { sha256: [digestOf(1)] });
        else await publishResolve(bus, group(1));
        await eventually(() => applied > 0);
      },
    });
    await publishFindings(bus, [group(1)]);
    await drained(bus, notify);
    assert.equal(receiver.messages.length, 0);
    assert.deepEqual(await statesOf(bus), ['queued', 'planned', 'failed', 'withdrawn']);
    const last = (await deliveries(bus)).at(-1);
    assert.equal(last?.state === 'withdrawn' && last.why, why);
  });
}

test('an approval in one workload leaves the alert for the others', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  await publishApproval(bus, { sha256: [digestOf(1)] }, 'systemd/a.service');
  const notify = await start();
  await publishFindings(bus, [group(1, 'systemd/a.service'), group(1, 'systemd/b.service')]);
  await drained(bus, notify);
  assert.equal(receiver.messages.length, 1);
  assert.match(shownText(receiver.messages[0]!), /systemd\/b\.service/);
  assert.doesNotMatch(shownText(receiver.messages[0]!), /systemd\/a\.service/);
});

test('a fileless exec that a package explains is still told', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  const evidence = { flags: ['memfd'], package: 'dpkg:runc:amd64', package_match: 'match' };
  const fileless = makeFinding({ rule: 'fileless-exec', path: '/opt/f', evidence });
  const notify = await start();
  await publishFindings(bus, [fileless]);
  await drained(bus, notify);
  assert.deepEqual(receiver.messages.flatMap(toldPaths), [{ path: '/opt/f', marked: false }]);
});

test('what has waited together is told together: no page for each, none left out, none twice', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  await publishFindings(bus, groups(300));
  const notify = await start();
  await drained(bus, notify);
  assert.ok(receiver.messages.length <= 10, `${receiver.messages.length} messages`);
  const told = receiver.messages.flatMap(toldPaths).map(({ path }) => path);
  assert.deepEqual(
    told.toSorted(),
    groups(300)
      .map(({ path }) => path)
      .toSorted(),
  );
  const sent = (await deliveries(bus)).filter(({ state }) => state === 'sent');
  assert.equal(
    new Set(sent.map((record) => 'delivery_id' in record && record.delivery_id)).size,
    receiver.messages.length,
  );
});

test('container and image are in all that Slack gets of a finding in a container', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  const pod = {
    id: 'ab'.repeat(32),
    name: 'app',
    image_ref: 'registry.example/cart:1.4',
    namespace: 'shop',
    pod: 'cart-0',
  };
  const findings = groups(12).map((finding) => {
    return { ...finding, evidence: { ...finding.evidence, container: pod, image: 'sha256:1234' } };
  });
  const notify = await start();
  for (const some of [findings.slice(0, 1), findings.slice(1)]) {
    await publishFindings(bus, some);
    await drained(bus, notify);
  }
  assert.equal(receiver.messages.length, 2);
  const [alert, summary] = [receiver.messages[0]!, receiver.messages[1]!];
  for (const text of [alert.text!, shownText(alert)]) {
    assert.match(text, /container `app` of pod `shop\/cart-0`,?\s+image `registry\.example\/cart:1\.4`/);
  }
  const told =
    /`\/opt\/\d+` in .*\(container `app` of pod `shop\/cart-0`, image `registry\.example\/cart:1\.4`\), SHA-256/g;
  assert.equal(shownText(summary).match(told)?.length, 11);
});

test('ten groups are told one by one, a second apart', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  await publishFindings(bus, groups(10));
  const notify = await start();
  await drained(bus, notify);
  assert.equal(receiver.messages.length, 10);
  const times = [START_MS, ...receiver.attempts.map(({ atMs }) => atMs)];
  for (const [n, atMs] of times.slice(1).entries()) assert.ok(atMs - times[n]! >= 1000, `${times}`);
  assert.ok(receiver.attempts.every(({ outcome }) => outcome === 'ok'));
});

test('without a webhook findings are taken in, and do not flood the one that is set later', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  const without = await start({ webhookUrl: undefined });
  await publishFindings(bus, groups(50));
  await drained(bus, without);
  assert.deepEqual(without.status(), {
    webhook: 'unset',
    partitions: [0],
    waiting: 0,
    paused_until: null,
    last_post: null,
  });
  await without.close();
  const notify = await start();
  await publishFindings(bus, [...groups(50), group(99)]);
  await drained(bus, notify);
  assert.deepEqual(receiver.messages.flatMap(toldPaths), [{ path: '/opt/99', marked: false }]);
});

test('an unreadable finding goes to the dead letters, an unreadable record is counted and its group told', async (t) => {
  const { bus, receiver, start, metrics } = await makeStand(t);
  await bus.publish(TOPICS.deliveries, [{ key: group(1).group_id, value: Buffer.from('{"v":0}') }]);
  await bus.publish(TOPICS.policy, [{ key: 'approval:x', value: Buffer.from('{') }]);
  await bus.publish(TOPICS.findings, [{ key: 'x', value: Buffer.from('no finding') }]);
  const notify = await start();
  await publishFindings(bus, [group(1)]);
  await drained(bus, notify);
  assert.equal(receiver.messages.length, 1);
  let dead = 0;
  const follower = await bus.follow(TOPICS.dead, (records) => {
    dead += records.length;
  });
  await follower.close();
  assert.equal(dead, 1);
  assert.match(await metrics(), /bintrail_notify_unreadable_total\{topic="bintrail.deliveries"\} 1/);
  assert.match(await metrics(), /bintrail_notify_unreadable_total\{topic="bintrail.policy"\} [1-9]/);
});

test('an alert goes out without counts when the store fails or hangs', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  const notify = await start({
    counts: async (finding) => {
      if (finding.path === '/opt/1') throw new Error('no such column');
      return new Promise(() => {});
    },
  });
  await publishFindings(bus, groups(2));
  await drained(bus, notify);
  assert.equal(receiver.messages.length, 2);
  for (const message of receiver.messages) assert.match(shownText(message), /not counted yet/);
});
