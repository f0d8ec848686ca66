/** `results.json`: the newest result of each bench. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Figure } from './bench.ts';
import type { Machine } from './machine.ts';

export type Result = {
  readonly name: string;
  readonly title: string;
  readonly method: string;
  readonly machine: Machine;
  readonly measured_at: string;
  /** Load average of the machine before the bench began. */
  readonly load: number;
  readonly took_s: number;
  /** Why it was not run; then there are no figures. */
  readonly skipped?: string;
  readonly figures: readonly Figure[];
};

export const RESULTS_PATH = fileURLToPath(new URL('./results.json', import.meta.url));

export function readResults(path = RESULTS_PATH): Result[] {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Result[]) : [];
}

/** Puts newer results in the place of older ones. One that was skipped takes the place of no figures. */
export function mergeResults(old: readonly Result[], fresh: readonly Result[], order: readonly string[]): Result[] {
  const byName = new Map(old.map((result) => [result.name, result]));
  for (const result of fresh) {
    if (result.skipped !== undefined && byName.get(result.name)?.figures.length) continue;
    byName.set(result.name, result);
  }
  return order.flatMap((name) => byName.get(name) ?? []);
}

/** Numbers keep four significant digits: the rest is noise, and would make every run a change of every line. */
export function writeResults(results: readonly Result[], path = RESULTS_PATH): void {
  const short = (_key: string, value: unknown) => (typeof value === 'number' ? Number(value.toPrecision(4)) : value);
  writeFileSync(path, `${JSON.stringify(results, short, 2)}\n`);
}
