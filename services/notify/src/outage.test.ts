/**
 * Slack is out for a while and answers 429, 500, garbage, nothing, or resets; meanwhile findings arrive and notify is
 * killed at random. In `npm test` for some seconds, by hand with the waits of production:
 *   BINTRAIL_OUTAGE_S=300 BINTRAIL_SEED=1 node --test services/notify/src/outage.test.ts
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { startSlackReceiver } from '@bintrail/test/slack-receiver.ts';
import { newHome, openBus } from './notify.kit.ts';
import { runOutage } from './outage.kit.ts';
import { judgeOutage } from './outage-account.kit.ts';

const OUTAGE_S = Number(process.env.BINTRAIL_OUTAGE_S ?? 15);
const SEED = Number(process.env.BINTRAIL_SEED ?? randomInt(2 ** 31));
const REPLAY = `BINTRAIL_OUTAGE_S=${OUTAGE_S} BINTRAIL_SEED=${SEED} node --test services/notify/src/outage.test.ts`;

test(`after ${OUTAGE_S} s of faults and kills every alert is there, repeated only where the answer was lost, and marked`, {
  timeout: OUTAGE_S * 2000 + 240_000,
}, async (t) => {
  t.diagnostic(`to replay: ${REPLAY}`);
  const home = await newHome(t);
  const bus = openBus(t, home);
  const receiver = await startSlackReceiver();
  t.after(() => receiver.close());
  const outage = await runOutage(bus, receiver, home, { seed: SEED, durationMs: OUTAGE_S * 1000 });
  const { complaints, figures } = judgeOutage(outage);
  t.diagnostic(JSON.stringify(figures));
  assert.deepEqual(complaints, [], `to replay: ${REPLAY}`);
  assert.ok(outage.kills > 0 && outage.attempts.length > outage.kills / 2, 'nothing much happened');
});
