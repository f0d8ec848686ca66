import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { decodeBatch, peekHeader } from './batch-decode.ts';
import { rowsOf } from './event-rows.fixture.ts';
import { mutate, seededRandom } from './mutation.fixture.ts';

const GOLDEN = new URL('../golden/', import.meta.url);
const SEED = 20_261_123;
const MUTATIONS = 100_000;

const messages = readdirSync(GOLDEN)
  .filter((name) => name.endsWith('.cbor'))
  .map((name) => ({ name, bytes: new Uint8Array(readFileSync(new URL(name, GOLDEN))) }));

describe('damaged golden messages', () => {
  it('are refused when cut at any byte', () => {
    for (const { name, bytes } of messages) {
      for (let length = 0; length < bytes.length; length++) {
        assert.equal(decodeBatch(bytes.subarray(0, length)).ok, false, `${name} cut at ${length}`);
      }
    }
  });

  it(`are refused or read as rows, never a crash: ${MUTATIONS} mutations of seed ${SEED}`, () => {
    const random = seededRandom(SEED);
    let taken = 0;
    for (let count = 0; count < MUTATIONS; count++) {
      const { name, bytes } = messages[count % messages.length]!;
      const mutated = mutate(bytes, random);
      const what = `mutation ${count} of ${name}: ${Buffer.from(mutated).toString('hex')}`;
      const result = decodeWithout(mutated, what);
      if (!result.ok) continue;
      taken += 1;
      assert.equal(rowsOf(result.batch).length, result.batch.rows, what);
      assert.deepEqual(peekHeader(mutated)?.batchSeq, result.batch.batchSeq, what);
    }
    // Most flips land in values: a mutation that nothing survives would test the first bytes only.
    assert.ok(taken > MUTATIONS / 20 && taken < MUTATIONS, `${taken} were taken`);
  });
});

function decodeWithout(bytes: Uint8Array, what: string): ReturnType<typeof decodeBatch> {
  try {
    peekHeader(bytes);
    return decodeBatch(bytes);
  } catch (error) {
    assert.fail(`${what}: ${error}`);
  }
}
