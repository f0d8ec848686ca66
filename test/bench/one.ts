/** Runs one bench in this process: `node test/bench/one.ts <name>`. Over IPC it hands over the result, else prints it. */
import { BENCHES } from './benches.ts';
import { loadNow, thisMachine } from './machine.ts';
import type { Result } from './results.ts';

const load = BENCHES[process.argv[2] ?? ''];
if (load === undefined) throw new Error(`which bench? ${Object.keys(BENCHES).join(', ')}`);

// Whoever waits for the result is gone, or has it.
process.once('disconnect', () => process.exit());

const { bench } = await load();
const { name, title, method } = bench;
const startedMs = performance.now();
const facts = { name, title, method, machine: thisMachine(), measured_at: new Date().toISOString(), load: loadNow() };
const skipped = bench.whyNotHere?.();
const figures = skipped === undefined ? await bench.run() : [];
const took_s = (performance.now() - startedMs) / 1000;
const result: Result = { ...facts, took_s, ...(skipped !== undefined && { skipped }), figures };

if (process.send === undefined) console.log(JSON.stringify(result, null, 2));
else process.send(result, () => process.disconnect?.());
