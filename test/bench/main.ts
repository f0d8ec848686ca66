/**
 * `npm run bench` runs every bench, `npm run bench -- ring digest` those named, `npm run bench -- --table` none: it only
 * writes README's table anew. Each result goes into results.json as soon as it is there.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Figure, missedBy } from './bench.ts';
import { BENCHES } from './benches.ts';
import { machineText, thisMachine } from './machine.ts';
import { mergeResults, type Result, readResults, writeResults } from './results.ts';
import { aimText, summaryText, valueText, writeTable } from './table.ts';

const ONE = fileURLToPath(new URL('./one.ts', import.meta.url));
/** sysexits.h EX_USAGE. */
const EXIT_USAGE = 64;
/** A bench that hangs must not keep the others from running. */
const MAX_BENCH_MS = 20 * 60_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { table: { type: 'boolean', default: false } },
});
const order = Object.keys(BENCHES);
const unknown = positionals.filter((name) => !order.includes(name));
if (unknown.length > 0) {
  console.error(`no such bench: ${unknown.join(', ')}\nknown: ${order.join(', ')}`);
  process.exit(EXIT_USAGE);
}
if (!values.table) await runAll(positionals.length > 0 ? order.filter((name) => positionals.includes(name)) : order);
writeTable(readResults());

async function runAll(names: readonly string[]): Promise<void> {
  console.log(`${machineText(thisMachine())}\n`);
  for (const name of names) {
    const result = await runOne(name);
    if (result === undefined) {
      process.exitCode = 1;
      continue;
    }
    print(result);
    writeResults(mergeResults(readResults(), [result], order));
  }
}

/** Undefined when it failed; it has said why itself. */
async function runOne(name: string): Promise<Result | undefined> {
  const child = fork(ONE, [name], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], timeout: MAX_BENCH_MS });
  let result: Result | undefined;
  child.on('message', (message) => {
    result = message as Result;
  });
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  if (code === 0 && result !== undefined) return result;
  console.log(`${name}: failed (${signal ?? `exit code ${code}`})\n`);
  return undefined;
}

function print({ name, title, method, load, took_s, skipped, figures }: Result): void {
  console.log(`${name}: ${title}`);
  console.log(`  ${method}`);
  if (skipped !== undefined) console.log(`  skipped: ${skipped}`);
  for (const figure of figures) printFigure(figure);
  console.log(`  (${took_s.toFixed(0)} s; load before: ${load})\n`);
}

function printFigure(figure: Figure): void {
  const { what, unit, value, baseline, ratio, whyMissed } = figure;
  console.log(`  - ${what}: ${valueText(figure)}, of ${value.samples}`);
  if (baseline !== undefined) {
    const compared = ratio === undefined ? '' : `; ratio ${summaryText(ratio)}`;
    console.log(`      ${baseline.what}: ${summaryText(baseline.value, unit)}${compared}`);
  }
  if (figure.aim !== undefined) console.log(`      aim ${aimText(figure)}`);
  if (missedBy(figure) !== undefined && whyMissed !== undefined) console.log(`      why: ${whyMissed}`);
}
