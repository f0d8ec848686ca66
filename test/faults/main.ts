/**
 * `npm run test:faults -- --seed N --count M [--pace quick|slow] [--check-every K]`: fault drills by hand. Needs root and
 * the broker that `npm run kafka` fetches. The seed alone plans what goes wrong; it is printed, to run the same again.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { whyNoDrills } from './for-drills.ts';
import { QUICK, SLOW } from './plan.ts';
import { runDrills } from './run-drills.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
    count: { type: 'string', default: '40' },
    pace: { type: 'string', default: 'quick' },
    'check-every': { type: 'string', default: '10' },
  },
});
const why = whyNoDrills();
if (why !== undefined) {
  console.error(why);
  process.exit(78);
}
const { seed, count, pace } = values;
console.log(`to replay: npm run test:faults -- --seed ${seed} --count ${count} --pace ${pace}`);
const complaints = await runDrills({
  ...{ seed: Number(seed), count: Number(count), pace: pace === 'slow' ? SLOW : QUICK },
  ...{ checkEvery: Number(values['check-every']), say: console.log },
});
for (const complaint of complaints) console.error(complaint);
if (complaints.length > 0)
  console.error(`to replay: npm run test:faults -- --seed ${seed} --count ${count} --pace ${pace}`);
process.exit(complaints.length > 0 ? 1 : 0);
