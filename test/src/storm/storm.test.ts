/** Every exec of a storm arrives once, with a digest, and none that claims to be certain is wrong. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { run, type SeenRow, type Watched, watchKernel, whyNotHere } from '../kernel/probe-kit.ts';
import { prepareStorm, type Storm } from './storm-kit.ts';

const skip = whyNotHere() ?? false;
const PROGRAMS = 200;
const LOOPS = 4;
const EXECS_PER_LOOP = 5_000;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-storm-'));
const memory = join(folder, 'tmpfs');
let watched: Watched;

before(async () => {
  if (skip) return;
  mkdirSync(memory);
  await run('mount', ['-t', 'tmpfs', 'storm', memory]);
  watched = await watchKernel();
});

after(async () => {
  await (watched as Watched | undefined)?.stop();
  if (!skip) await run('umount', [memory]).catch(() => {});
  rmSync(folder, { recursive: true });
});

/** Rows of this storm that are final, each with the program it must have been. */
function finalRows(storm: Storm): { row: SeenRow; program: number }[] {
  const late = new Map(watched.rows().flatMap((row) => (row.event === 'digest' ? [[imageOf(row), row]] : [])));
  return watched.rows().flatMap((row) => {
    if (row.event !== 'exec') return [];
    const program = storm.programOf({ path: row.path, argv: row.argv.split('\0') });
    if (program === undefined) return [];
    return [{ row: row.digest_reason === 'pending' ? (late.get(imageOf(row)) ?? row) : row, program }];
  });
}

const imageOf = (row: SeenRow) => `${row.pid}:${row.start_ns}:${row.self_exec_id}`;

async function settledRows(storm: Storm, expected: number): Promise<{ row: SeenRow; program: number }[]> {
  for (let triesLeft = 300; triesLeft > 0; triesLeft--) {
    const rows = finalRows(storm);
    if (rows.length >= expected && rows.every(({ row }) => row.digest_reason !== 'pending')) break;
    await delay(100);
  }
  return finalRows(storm);
}

function checkDigests(storm: Storm, rows: readonly { row: SeenRow; program: number }[]): Record<string, number> {
  const strengths: Record<string, number> = {};
  for (const { row, program } of rows) {
    const word = row.digest_strength || `no digest: ${row.digest_reason}`;
    strengths[word] = (strengths[word] ?? 0) + 1;
    if (row.digest_strength !== 'exact' && row.digest_strength !== 'alive') continue;
    assert.equal(row.sha256, storm.digests[program], `${row.digest_strength} but wrong: ${row.path}`);
  }
  return strengths;
}

for (const [name, at] of [
  ['the root filesystem', () => join(folder, 'disk')],
  ['tmpfs', () => memory],
] as const) {
  test(`20,000 execs on ${name}: all there, once, with digests that are right`, {
    skip,
    timeout: 240_000,
  }, async (t) => {
    mkdirSync(at(), { recursive: true });
    const storm = await prepareStorm(join(folder, `tools-${name.replaceAll(' ', '-')}`), at(), PROGRAMS);
    const ran = await storm.blow(LOOPS, EXECS_PER_LOOP);
    assert.equal(ran, LOOPS * EXECS_PER_LOOP);
    const rows = await settledRows(storm, ran);
    assert.equal(rows.length, ran);
    assert.equal(new Set(rows.map(({ row }) => imageOf(row))).size, ran, 'each once');
    const strengths = checkDigests(storm, rows);
    t.diagnostic(JSON.stringify(strengths));
    const missing = rows.filter(({ row }) => row.sha256 === '');
    assert.deepEqual(
      missing.map(({ row }) => row.digest_reason),
      [],
      'every exec carries a digest',
    );
  });
}

test('two programs in turn in one file, in place: no digest that claims to be certain is wrong', {
  skip,
  timeout: 120_000,
}, async (t) => {
  const at = join(folder, 'in-place');
  mkdirSync(at);
  const storm = await prepareStorm(join(folder, 'tools-in-place'), at, 2);
  const ran = await storm.overwrite(2_000);
  assert.equal(ran, 2_000);
  const rows = await settledRows(storm, ran);
  assert.equal(rows.length, ran);
  t.diagnostic(JSON.stringify(checkDigests(storm, rows)));
});

test('right after a storm its filesystem can be unmounted', { skip, timeout: 60_000 }, async () => {
  const storm = await prepareStorm(join(folder, 'tools-umount'), memory, 20);
  await storm.blow(2, 500);
  const startedMs = performance.now();
  for (;;) {
    const done = await run('umount', [memory]).then(
      () => true,
      () => false,
    );
    if (done) break;
    assert.ok(performance.now() - startedMs < 2_000, 'umount still fails after 2 s');
    await delay(50);
  }
});
