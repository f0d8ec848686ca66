/** A bounded run of the drills that `npm run test:faults` runs for as long as it is told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whyNoDrills } from './for-drills.ts';
import { QUICK } from './plan.ts';
import { runDrills } from './run-drills.ts';

const DRILLS = 40;
/** The ring must stay within minutes: a busy machine does as many as it can, and says how many. */
const BUDGET_MS = 300_000;
/** The same each time, so that a failure comes of what was changed; by hand it is another one each time. */
const SEED = Number(process.env.BINTRAIL_SEED ?? 1);
const REPLAY = `npm run test:faults -- --seed ${SEED} --count ${DRILLS}`;

test(`up to ${DRILLS} faults at random moments cost nothing that is not counted`, {
  skip: whyNoDrills() ?? false,
}, async () => {
  console.log(`to replay: ${REPLAY}`);
  const drills = { seed: SEED, count: DRILLS, pace: QUICK, checkEvery: DRILLS, budgetMs: BUDGET_MS, say: console.log };
  assert.deepEqual(await runDrills(drills), [], `to replay: ${REPLAY}`);
});
