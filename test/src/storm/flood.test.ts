/** A flood of files beside a storm of execs takes no exec's place; by hand `npm run bench -- flood` has a larger one. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startProbeApart } from '../kernel/probe-apart.ts';
import { type SeenRow, whyNotHere } from '../kernel/probe-kit.ts';
import { prepareFlood } from './flood-kit.ts';
import { prepareStorm } from './storm-kit.ts';

const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-flood-'));
const at = (name: string) => join(folder, name);
after(() => rmSync(folder, { recursive: true, force: true }));

const SIZE = { files: 3_000, executableEvery: 5, sources: 6, look: '/usr' };
const [LOOPS, EXECS_PER_LOOP, PROGRAMS] = [2, 1_500, 100];

test('beside a flood of files no exec is lost, and what is told of files adds up', {
  skip,
  timeout: 120_000,
}, async (t) => {
  mkdirSync(at('programs'));
  const storm = await prepareStorm(at('tools'), at('programs'), PROGRAMS);
  const flood = await prepareFlood(folder, SIZE);
  const probe = await startProbeApart(at('home'), ['env']);
  t.after(probe.kill);
  const [ran] = await Promise.all([storm.blow(LOOPS, EXECS_PER_LOOP), flood.come()]);
  const rows = await probe.stop(['exec', 'file', 'loss']);

  const execs = rows.filter((row) => row.event === 'exec' && isOf(storm.programOf, row));
  assert.equal(execs.length, ran);
  assert.equal(new Set(execs.map(({ pid, start_ns }) => `${pid} ${start_ns}`)).size, ran, 'each once');
  const lost = lastLosses(rows).filter(({ lost, event_type }) => lost > 0n && ['exec', 'exit'].includes(event_type));
  assert.deepEqual(lost, []);

  const written = rows.filter((row) => row.event === 'file' && row.path.startsWith(`${flood.unpacked}/`));
  // tar writes it for its owner alone, and makes a program of it afterwards.
  const told = new Set(written.map(({ path }) => path));
  const ring = lastLosses(rows).filter(({ event_type, place }) => event_type === 'file' && place === 'ring');
  const lostFiles = ring.reduce((sum, { lost }) => sum + Number(lost), 0);
  t.diagnostic(`${told.size} programs unpacked, ${written.length} changes told of them, ${lostFiles} of all lost`);
  for (const { seen, sent, lost } of ring) assert.equal(seen, sent + lost);
  assert.ok(told.size + lostFiles >= SIZE.files / SIZE.executableEvery, 'each is told, or counted as lost');
});

const isOf = (programOf: (row: { path: string; argv: readonly string[] }) => number | undefined, row: SeenRow) =>
  programOf({ path: row.path, argv: row.argv.split('\0') }) !== undefined;

/** Losses are cumulative: the last of each place. */
function lastLosses(rows: readonly SeenRow[]): SeenRow[] {
  const losses = rows.filter(({ event }) => event === 'loss');
  return [...new Map(losses.map((row) => [`${row.cpu} ${row.event_type} ${row.place}`, row])).values()];
}
