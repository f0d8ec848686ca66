/** The account from end to end: what the driver counted at the source is what the store holds, and nothing was lost. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Bintrail, eventually, startBintrail, whyNotHere } from '../e2e/bintrail.ts';
import { prepareStorm } from './storm-kit.ts';

const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-stored-'));
const programs = join(folder, 'programs');
let bintrail: Bintrail;

before(async () => {
  if (!skip) bintrail = await startBintrail(join(folder, 'home'));
});

after(async () => {
  await (bintrail as Bintrail | undefined)?.stop();
  rmSync(folder, { recursive: true });
});

test('20,000 execs of 200 programs: the store holds each once', { skip, timeout: 240_000 }, async () => {
  mkdirSync(programs);
  const storm = await prepareStorm(join(folder, 'tools'), programs, 200);
  const ran = await storm.blow(4, 5_000);
  assert.equal(ran, 20_000);
  const path = encodeURIComponent(`${programs}/*`);
  let stored = 0;
  const binaries = await eventually('20,000 stored execs', 60_000, async () => {
    const { json } = await bintrail.get(`/v1/binaries?path=${path}&limit=1000`);
    stored = json.items.reduce((sum: number, { exec_count }: { exec_count: number }) => sum + exec_count, 0);
    return stored >= ran ? json.items : undefined;
  }).catch(async (error: Error) => {
    const coverage = (await bintrail.get('/v1/coverage?since=now-1h')).text;
    throw new Error(`${error.message}: ${stored} are there\n${coverage}\n${bintrail.output().slice(-2_000)}`);
  });
  const counts = new Map(
    binaries.map(({ sha256, exec_count }: { sha256: string; exec_count: number }) => [sha256, exec_count]),
  );
  assert.deepEqual(
    storm.digests.map((sha256) => counts.get(sha256)),
    storm.digests.map(() => ran / storm.digests.length),
    'each program as often as it ran',
  );
  assert.equal(counts.size, storm.digests.length, 'and no digest that is none of them');
  const { json } = await bintrail.get('/v1/coverage?since=now-1h');
  assert.equal(json.items[0].lost, 0);
  assert.deepEqual(json.items[0].batch_gaps, { gaps: 0, messages: 0 });
});
