/**
 * Damaged messages and random ring records through the decoders: each is refused with a reason, or is read as what can
 * be written and read again. Never a crash; a hang ends with the runner's timeout. By hand, other or more inputs:
 *   BINTRAIL_FUZZ=5000000 BINTRAIL_SEED=7 node --test schemas/src/fuzz.test.ts
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { decodeBatch } from './batch-decode.ts';
import type { RefusalReason } from './cbor-reader.ts';
import { FUZZES, goldenMessages, type Tally } from './fuzz.fixture.ts';
import type { Share } from './fuzz.worker.ts';
import type { RingRefusal } from './ring-record.ts';

const INPUTS = Number(process.env.BINTRAIL_FUZZ ?? 150_000);
const SEED = Number(process.env.BINTRAIL_SEED ?? 20_261_123);

/** Every reason there is must be met. */
const REASONS: { messages: Record<RefusalReason, true>; records: Record<RingRefusal, true> } = {
  messages: {
    truncated: true,
    trailing_bytes: true,
    wrong_type: true,
    indefinite_length: true,
    unknown_version: true,
    unknown_event: true,
    unknown_key: true,
    duplicate_key: true,
    missing_key: true,
    wrong_tag: true,
    wrong_length: true,
    out_of_range: true,
  },
  records: { no_head: true, unknown_event: true, too_short: true, text_overrun: true, trailing_bytes: true },
};

test('a golden message cut at any byte is refused', () => {
  for (const { name, bytes } of goldenMessages()) {
    for (let length = 0; length < bytes.length; length++) {
      assert.equal(decodeBatch(bytes.subarray(0, length)).ok, false, `${name} cut at ${length}`);
    }
  }
});

for (const what of Object.keys(FUZZES) as (keyof typeof FUZZES)[]) {
  test(`${INPUTS} damaged ${what} of seed ${SEED} are refused with a reason, or read and written again`, async (t) => {
    const workers = availableParallelism();
    const bounds = Array.from({ length: workers + 1 }, (_, at) => Math.floor((INPUTS * at) / workers));
    const tallies = await Promise.all(
      bounds.slice(1).map((to, at) => runShare({ what, seed: SEED, from: bounds[at]!, to })),
    );
    const refused: Record<string, number> = {};
    for (const tally of tallies) {
      for (const [reason, count] of Object.entries(tally.refused)) refused[reason] = (refused[reason] ?? 0) + count;
    }
    const taken = tallies.reduce((sum, tally) => sum + tally.taken, 0);
    const slowestMs = Math.max(...tallies.map((tally) => tally.slowestMs));
    t.diagnostic(JSON.stringify({ taken, refused, slowest_ms: Math.round(slowestMs) }));
    const all = Object.values(refused).reduce((sum, count) => sum + count, taken);
    assert.equal(all, INPUTS);
    assert.deepEqual(Object.keys(refused).sort(), Object.keys(REASONS[what]).sort());
    assert.ok(taken > INPUTS / 100, `${taken} were taken: what is always refused tests little`);
  });
}

/** Rejects with what a share stopped at. */
async function runShare(share: Share): Promise<Tally> {
  const worker = new Worker(new URL('./fuzz.worker.ts', import.meta.url), { workerData: share });
  const [tally] = (await once(worker, 'message')) as [Tally];
  return tally;
}
