import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { digestOf, makeFinding } from './finding.fixture.ts';
import {
  deliveries,
  drained,
  eventually,
  makeStand,
  publishApproval,
  publishFindings,
  START_MS,
  statesOf,
  toldPaths,
} from './notify.kit.ts';

const group = (n: number) => makeFinding({ sha256: digestOf(n), path: `/opt/${n}` });
const groups = (count: number) => Array.from({ length: count }, (_, n) => group(n));

/** Time that stands still: whoever sleeps is woken only by being closed. */
const forever = (_: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));

test('queued: what an earlier run did not come to is told by the next', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  const first = await start({ sleep: forever });
  await publishFindings(bus, groups(3));
  await eventually(() => first.status().waiting === 3);
  await first.close();
  assert.equal(receiver.attempts.length, 0);
  const second = await start();
  await drained(bus, second);
  assert.deepEqual(
    receiver.messages.flatMap(toldPaths),
    groups(3).map(({ path }) => ({ path, marked: false })),
  );
});

test('failed: the next run keeps to what Slack asked of the last', async (t) => {
  const { bus, receiver, time, start } = await makeStand(t);
  receiver.fail({ kind: 'rate-limited', retryAfter: '600' });
  const first = await start({
    sleep: (ms, signal) => (receiver.attempts.length > 0 ? forever : time.sleep)(ms, signal),
  });
  await publishFindings(bus, groups(2));
  await eventually(async () => (await statesOf(bus)).includes('failed'));
  await first.close();
  time.advance(60_000);
  const second = await start();
  await drained(bus, second);
  const [refused, ...later] = receiver.attempts;
  assert.ok(later.every(({ atMs }) => atMs - refused!.atMs >= 600_000));
  assert.deepEqual(
    receiver.messages.flatMap(toldPaths),
    groups(2).map(({ path }) => ({ path, marked: false })),
  );
});

test('failed for want of a webhook: a restart with the right one tells it at once', async (t) => {
  const { bus, receiver, time, start } = await makeStand(t);
  const first = await start({
    webhookUrl: `${receiver.url}-gone`,
    sleep: (ms, signal) => (receiver.attempts.length > 0 ? forever : time.sleep)(ms, signal),
  });
  await publishFindings(bus, [group(1)]);
  await eventually(() => first.status().last_post?.code === 'no_service');
  await eventually(async () => (await statesOf(bus)).includes('failed'));
  await first.close();
  const second = await start();
  await drained(bus, second);
  assert.deepEqual(receiver.messages.flatMap(toldPaths), [{ path: '/opt/1', marked: false }]);
  assert.ok(receiver.messages[0]!.atMs - START_MS < 10_000);
});

test('sent: nothing is told again, also when findings are handed out once more', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  const first = await start();
  await publishFindings(bus, groups(30));
  await drained(bus, first);
  await first.close();
  const told = receiver.messages.length;
  const second = await start();
  await publishFindings(bus, groups(30));
  await drained(bus, second);
  assert.equal(receiver.messages.length, told);
});

test('withdrawn: an approval from before the restart still holds', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  const first = await start({ sleep: forever });
  await publishFindings(bus, groups(2));
  await eventually(() => first.status().waiting === 2);
  await first.close();
  await publishApproval(bus, { sha256: [digestOf(0)] });
  await drained(bus, await start());
  assert.deepEqual(receiver.messages.flatMap(toldPaths), [{ path: '/opt/1', marked: false }]);
});

test('closing waits for the post under way and records it', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  receiver.fail({ kind: 'hang', recorded: false });
  const notify = await start();
  await publishFindings(bus, [group(1)]);
  await receiver.until(() => receiver.attempts.length === 1);
  const closed = notify.close();
  receiver.hangUp();
  await closed;
  await notify.done;
  assert.deepEqual(await statesOf(bus), ['queued', 'planned', 'failed']);
});

/** Runs notify in a process of its own until it has a post under way, and kills it there. */
async function killDuringPost(t: TestContext, recorded: boolean) {
  const stand = await makeStand(t);
  stand.receiver.fail({ kind: 'hang', recorded });
  const program = fileURLToPath(new URL('./notify.child.ts', import.meta.url));
  const child = spawn(process.execPath, [program, stand.home, stand.receiver.url, '{"intervalMs":0}'], {
    stdio: 'inherit',
  });
  t.after(() => child.kill('SIGKILL'));
  await publishFindings(stand.bus, groups(3));
  await stand.receiver.until(() => stand.receiver.attempts.length === 1);
  child.kill('SIGKILL');
  await once(child, 'exit');
  stand.receiver.hangUp();
  return stand;
}

for (const recorded of [false, true]) {
  const what = recorded ? 'had arrived' : 'had not arrived';
  test(`planned: a post that ${what} when the process was killed is made once more and marked`, async (t) => {
    const { bus, receiver, start } = await killDuringPost(t, recorded);
    const planned = (await deliveries(bus)).filter(({ state }) => state === 'planned');
    assert.equal(planned.length, 1);
    const second = await start();
    await drained(bus, second);
    await second.close();
    const told = receiver.messages.slice(recorded ? 1 : 0).flatMap(toldPaths);
    assert.deepEqual(
      told.toSorted((a, b) => a.path.localeCompare(b.path)),
      groups(3).map((finding) => ({ path: finding.path, marked: finding.group_id === planned[0]!.group_id })),
    );
    const after = receiver.messages.length;
    await drained(bus, await start());
    assert.equal(receiver.messages.length, after);
  });
}
