/**
 * Random records of the rings through all that the probe does with them: each becomes a row that can be sent and read
 * again, or is counted as undecodable. By hand, more or others:
 *   BINTRAIL_FUZZ=1000000 BINTRAIL_SEED=7 node --test services/probe/src/record-path.fuzz.test.ts
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { damagedRecord } from '@bintrail/schemas/damaged-record.fixture.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import { mapping, repeats } from '@bintrail/schemas/mapping.ts';
import { seededRandom } from '@bintrail/schemas/mutation.fixture.ts';
import { openPath } from './record-path.fixture.ts';

const INPUTS = Number(process.env.BINTRAIL_FUZZ ?? 4_000);
const SEED = Number(process.env.BINTRAIL_SEED ?? 20_261_129);
const BATCH = 50;
/** A path remembers what it met: a new one now and then, as a probe meets no such records at all. */
const BATCHES_A_PATH = 40;

const RINGS = { exec: [EVENTS.exec, EVENTS.exit], code: [EVENTS.file, mapping, repeats] };
/** Of the others some are only looked at: no row follows from a file that an interpreter opened and did not run. */
const ACCOUNTED = Object.values(RINGS).flat();
/** The last byte of a record's time. */
const BOOT_NS_TOP = 23;

for (const ring of Object.keys(RINGS) as (keyof typeof RINGS)[]) {
  test(`${INPUTS} random records in the ring for ${ring}, of seed ${SEED}`, async (context) => {
    const tally: Record<string, number> = {};
    let path = openPath(context);
    for (let from = 0; from < INPUTS; from += BATCH) {
      if (from % (BATCH * BATCHES_A_PATH) === 0) path = openPath(context);
      Object.assign(path.state, { undecodable: 0, sent: {} });
      const records = Array.from({ length: Math.min(BATCH, INPUTS - from) }, (_, at) => record(ring, from + at));
      const take = ring === 'exec' ? path.take : path.takeFromCode;
      await take(...records).catch((cause) => {
        throw new Error(`inputs ${from}: ${records.map((bytes) => Buffer.from(bytes).toString('hex'))}`, { cause });
      });
      const became: Record<string, number> = { ...path.state.sent, refused: path.state.undecodable };
      for (const [what, count] of Object.entries(became)) tally[what] = (tally[what] ?? 0) + count;
      // A script is told beside its exec.
      const { load: scripts = 0 } = ring === 'exec' ? became : {};
      const all = Object.values(became).reduce((sum, count) => sum + count, 0);
      assert.equal(all - scripts, records.length, `inputs ${from}: each is a row, or counted`);
    }
    context.diagnostic(JSON.stringify(tally));
    assert.ok(Object.keys(tally).length > 2, 'more than one kind was taken, and some refused');
  });
}

function record(ring: keyof typeof RINGS, number: number): Uint8Array {
  const random = seededRandom(Math.imul(SEED + number, 0x9e37_79b1));
  const definitions = random(8) === 0 ? ACCOUNTED : RINGS[ring];
  const bytes = damagedRecord(definitions[random(definitions.length)]!, random);
  // Mostly a time that there can be: others are refused before anything else is looked at.
  if (bytes.length > BOOT_NS_TOP && random(8) > 0) bytes[BOOT_NS_TOP] = 0;
  return bytes;
}
