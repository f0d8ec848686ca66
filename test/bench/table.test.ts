import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Figure } from './bench.ts';
import { BENCHES } from './benches.ts';
import { mergeResults, type Result, readResults } from './results.ts';
import { single, summarize } from './stats.ts';
import { numberText, README_PATH, renderTable, withTable } from './table.ts';

const machine = { cpu: 'A CPU', cores: 2, memory_gib: 8, kernel: 'Linux 6.1', node: 'v26.0.0' };
const figure: Figure = {
  what: 'speed',
  unit: 'events/s',
  value: summarize([390_000, 400_000, 410_000]),
  baseline: { what: 'JSON', value: single(200_000) },
  ratio: single(2),
  aim: { of: 'value', op: '≥', value: 500_000 },
  whyMissed: 'decoding takes half of it',
};
const result = (name: string, facts: Partial<Result> = {}): Result => ({
  ...{ name, title: `The ${name}`, method: 'as it is', machine, measured_at: '2026-01-02T03:04:05.000Z' },
  ...{ load: 0.1, took_s: 1, figures: [figure] },
  ...facts,
});

test('README shows the results that are committed', () => {
  const readme = readFileSync(README_PATH, 'utf8');
  // The texts are long: whoever wants to see the difference writes it and looks at git.
  assert.ok(withTable(readme, renderTable(readResults())) === readme, 'npm run bench -- --table writes it anew');
});

test('every bench has a result, under its own name and in order', async () => {
  for (const [name, load] of Object.entries(BENCHES)) assert.equal((await load()).bench.name, name);
  assert.deepEqual(
    readResults().map(({ name }) => name),
    Object.keys(BENCHES),
  );
});

test('a missed aim is told with its share and its reason, a met one without', () => {
  const missed = renderTable([result('ring')]);
  assert.match(missed, /≥ 500,000 events\/s: \*\*missed\*\* by 20 %/);
  assert.match(missed, /- _speed_: decoding takes half of it/);
  assert.match(missed, /400,000 \(395,000–405,000\) events\/s/);
  const met = renderTable([result('ring', { figures: [{ ...figure, aim: { ...figure.aim!, value: 300_000 } }] })]);
  assert.match(met, /≥ 300,000 events\/s: met/);
  assert.doesNotMatch(met, /decoding takes half|missed/);
});

test('what was skipped is named with its reason, and takes the place of no figures', () => {
  const skipped = result('exec', { figures: [], skipped: 'needs root' });
  assert.match(renderTable([skipped]), /Not measured: exec \(needs root\)\./);
  const order = ['exec', 'ring'];
  assert.deepEqual(mergeResults([result('exec')], [skipped, result('ring')], order), [result('exec'), result('ring')]);
  assert.deepEqual(mergeResults([], [skipped], order), [skipped]);
});

test('results of two machines are told apart', () => {
  const table = renderTable([result('exec'), result('ring', { machine: { ...machine, cores: 64 } })]);
  assert.match(table, /A CPU, 2 cores, 8 GiB, Linux 6\.1, Node v26\.0\.0 \(exec\)\. Load average before: 0\.1–0\.1\./);
  assert.match(table, /A CPU, 64 cores, 8 GiB, Linux 6\.1, Node v26\.0\.0 \(ring\)\./);
});

test('numbers have three significant digits', () => {
  assert.deepEqual([0.01234, 1.5, 41.77, 123_456, 2_345_678].map(numberText), [
    '0.0123',
    '1.5',
    '41.8',
    '123,000',
    '2.35 M',
  ]);
});

test('a README without the marks is refused', () => {
  assert.throws(() => withTable('# no marks', ''), /bench:begin/);
});
