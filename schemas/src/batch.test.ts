import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeBatch, peekHeader } from './batch-decode.ts';
import { type BatchHeader, encodeBatch, MAX_ROWS } from './batch-encode.ts';
import { headerArbitrary, rowsArbitrary, rowsOf } from './event-rows.fixture.ts';
import { EVENTS } from './events.ts';
import { exit } from './exit.ts';
import type { EventDefinition, RowOf } from './field.ts';
import { loss } from './loss.ts';
import { bigAt } from './row.ts';

const HEADER: BatchHeader = { node: 'n1', boot: 'b1', probeEpoch: 1_790_000_000_000n, batchSeq: 7 };
const EXIT: RowOf<typeof exit> = {
  ts: 1n,
  cpu: 0,
  cpu_seq: 1n,
  pid: 1,
  self_exec_id: 1,
  start_ns: 1n,
  exit_code: 0,
  signal: 0,
  workload: 'host',
  container_id: '',
  image: '',
};

function decoded(bytes: Uint8Array) {
  const result = decodeBatch(bytes);
  if (!result.ok) assert.fail(`${result.reason}: ${result.detail}`);
  return result.batch;
}

describe('a message', () => {
  for (const definition of Object.values(EVENTS) as EventDefinition[]) {
    it(`of ${definition.name} rows reads back as it was written`, () => {
      const message = fc.tuple(headerArbitrary, rowsArbitrary(definition, 40));
      const property = fc.property(message, ([header, rows]) => {
        const batch = decoded(encodeBatch(definition, header, rows));
        const { type, rows: count, columns, ...readHeader } = batch;
        assert.deepEqual(readHeader, header);
        assert.equal(type, definition.name);
        assert.equal(count, rows.length);
        assert.deepEqual([...columns.keys()].sort(), definition.fields.map((field) => field.name).sort());
        assert.deepEqual(rowsOf(batch), rows);
      });
      fc.assert(property, { numRuns: 200 });
    });
  }

  it('gives its header without being read as a whole', () => {
    fc.assert(
      fc.property(headerArbitrary, (header) => {
        const bytes = encodeBatch(exit, header, [EXIT]);
        assert.deepEqual(peekHeader(bytes), header);
        assert.deepEqual(peekHeader(bytes.subarray(0, bytes.length - 1)), header);
      }),
    );
    assert.equal(peekHeader(new Uint8Array(0)), undefined);
    assert.equal(peekHeader(Buffer.from('not a message')), undefined);
  });

  for (const distinct of [255, 256, 257, 65_535, MAX_ROWS]) {
    it(`holds ${distinct} distinct texts`, () => {
      const rows = Array.from({ length: distinct }, (_, row) => ({ ...EXIT, workload: `w${row}` }));
      const batch = decoded(encodeBatch(exit, HEADER, rows));
      assert.deepEqual(rowsOf(batch), rows);
    });
  }

  it('leaves out what is empty and writes once what is equal', () => {
    const rows = (count: number) => Array<RowOf<typeof exit>>(count).fill(EXIT);
    const one = encodeBatch(exit, HEADER, rows(1));
    assert.equal(encodeBatch(exit, HEADER, rows(23)).length, one.length);
    assert.ok(!Buffer.from(one).includes('container_id'));
  });

  it('keeps no view of its input', () => {
    const bytes = encodeBatch(exit, HEADER, [EXIT, { ...EXIT, pid: 9, workload: 'other' }]);
    const batch = decoded(bytes);
    const before = rowsOf(batch);
    bytes.fill(0xff);
    assert.deepEqual(rowsOf(batch), before);
  });

  it('reads from any offset of a larger buffer', () => {
    const bytes = encodeBatch(exit, HEADER, [EXIT, { ...EXIT, start_ns: 1n << 40n }]);
    for (let offset = 0; offset < 8; offset++) {
      const larger = new Uint8Array(bytes.length + 16);
      larger.set(bytes, offset);
      assert.equal(bigAt(decoded(larger.subarray(offset, offset + bytes.length)), 'start_ns', 1), 1n << 40n);
    }
  });
});

describe('encodeBatch refuses', () => {
  const refused = (header: BatchHeader, rows: readonly RowOf<typeof exit>[]) =>
    assert.throws(() => encodeBatch(exit, header, rows), RangeError);

  it('no rows, and more than a reader takes', () => {
    refused(HEADER, []);
    refused(HEADER, Array<RowOf<typeof exit>>(MAX_ROWS + 1).fill(EXIT));
  });

  it('numbers outside their kind, whether the column is constant or not', () => {
    for (const bad of [-1, 2 ** 32, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      refused(HEADER, [{ ...EXIT, pid: bad }]);
      refused(HEADER, [EXIT, { ...EXIT, pid: bad }]);
    }
    for (const bad of [-1n, 1n << 64n]) refused(HEADER, [EXIT, { ...EXIT, start_ns: bad }]);
    refused(HEADER, [{ ...EXIT, ts: 1n << 63n }]);
  });

  it('text where bytes belong', () => {
    refused(HEADER, [{ ...EXIT, workload: 'Ā' }]);
  });

  it('headers no reader takes', () => {
    for (const node of ['x'.repeat(257), 'ü'.repeat(129), '\ud800']) refused({ ...HEADER, node }, [EXIT]);
    for (const batchSeq of [-1, 0.5, 2 ** 53]) refused({ ...HEADER, batchSeq }, [EXIT]);
    for (const probeEpoch of [-1n, 1n << 64n]) refused({ ...HEADER, probeEpoch }, [EXIT]);
    assert.ok(encodeBatch(exit, { ...HEADER, node: 'ü'.repeat(128) }, [EXIT]).length > 0);
  });

  it('digests of another length', () => {
    const digest = { ...EVENTS.digest };
    const row = Object.fromEntries(digest.fields.map(({ name, kind }) => [name, kind.startsWith('u') ? 0 : '']));
    const full = { ...row, ts: 0n, event_ts: 0n, seq: 0n, start_ns: 0n, sha256: 'x'.repeat(31) };
    assert.throws(() => encodeBatch(digest, HEADER, [full as unknown as RowOf<typeof digest>]), RangeError);
  });

  it('nothing that a reader takes: counters at their limit', () => {
    const max = (1n << 64n) - 1n;
    const row = { ts: (1n << 63n) - 1n, stream: 1, seq: max, cpu: 2 ** 32 - 1, event_type: 'exec', place: 'ring' };
    const rows = [{ ...row, seen: max, sent: 2n ** 63n, lost: 2n ** 53n + 1n }];
    assert.deepEqual(rowsOf(decoded(encodeBatch(loss, HEADER, rows))), rows);
  });
});
