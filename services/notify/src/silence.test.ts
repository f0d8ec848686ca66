import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileApprovals } from '@bintrail/analysis/approvals.ts';
import { type LastWord, silences } from '@bintrail/analysis/silence.ts';
import type { Pending } from './delivery.ts';
import { drained, makeStand, publishApproval, publishFindings, START_MS, shownText } from './notify.kit.ts';
import { review } from './review.ts';
import { receive } from './transitions.ts';

const word = (node: string, mode = 'live'): LastWord => {
  return { node, boot: 'b-1', probeEpoch: 1n, seq: 9n, mode, heardAtMs: START_MS - 400_000 };
};

test('a fleet that falls silent is told once, with its number', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  const notify = await start();
  const fleet = silences(
    Array.from({ length: 150 }, (_, n) => word(`web-${n}`)),
    START_MS,
  );
  await publishFindings(bus, fleet);
  await publishFindings(bus, fleet);
  await drained(bus, notify);
  assert.equal(receiver.messages.length, 1);
  const text = shownText(receiver.messages[0]!);
  assert.match(text, /High: probe-silent.*`web-0` and 149 more.*149 other nodes.*look at the node itself/s);
  assert.doesNotMatch(text, /SHA-256|approvals/);
});

test('a silence is judged by nothing that ran', () => {
  const [finding] = silences([word('db-1')], START_MS);
  const arrival = { episodeOf: () => 0, hasWebhook: true, nowMs: START_MS };
  const policy = { revision: 1, approvals: compileApprovals([]), episodeOf: () => 0 };
  const result = review(receive(undefined, finding!, arrival) as Pending, policy, START_MS);
  assert.deepEqual(result.needed && [result.verdict.value, result.verdict.why], [
    'unknown',
    finding!.evidence.verdict.why,
  ]);
});

test('a silence is told whatever is approved, and says when the probe was stopped in good order', async (t) => {
  const { bus, receiver, start } = await makeStand(t);
  await publishApproval(bus, { path: '*' });
  const notify = await start();
  await publishFindings(bus, silences([word('db-1', 'stopping')], START_MS));
  await drained(bus, notify);
  assert.equal(receiver.messages.length, 1);
  assert.match(shownText(receiver.messages[0]!), /Low: probe-silent.*`db-1`.*stopped in good order/s);
});
