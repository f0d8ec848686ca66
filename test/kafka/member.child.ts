// A process for consume-faults.test.ts: takes plans, says so, and finishes each once the file `go` is there.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { argv, stdout } from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { identity } from '@bintrail/runtime/bus.contract.kit.ts';
import { open } from './contract.adapter.ts';

const [location] = argv.slice(2) as [string];
const bus = await open(location);
const options = { topic: 't', group: 'g', maxRecords: 3, maxBytes: 1_000 };
await bus.subscribe(options, async (plan) => {
  stdout.write(`${JSON.stringify(identity(plan))}\n`);
  while (!existsSync(join(location, 'go'))) await delay(20);
}).done;
