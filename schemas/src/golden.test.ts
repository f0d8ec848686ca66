import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeBatch } from './batch-decode.ts';
import { encodeBatch } from './batch-encode.ts';
import { blankRow, headerArbitrary, rowsArbitrary, rowsOf } from './event-rows.fixture.ts';
import { EVENTS } from './events.ts';
import type { EventDefinition, RowOf } from './field.ts';
import { readWithCborg, readWithCborX } from './foreign-reader.fixture.ts';
import type { GoldenMessage } from './generate/golden.ts';

const GOLDEN = new URL('../golden/', import.meta.url);
const OTHERS = { cborg: readWithCborg, 'cbor-x': readWithCborX };

function goldenOf({ name, fields }: EventDefinition) {
  const json: GoldenMessage = JSON.parse(readFileSync(new URL(`${name}.json`, GOLDEN), 'utf8'));
  const kinds = new Map(fields.map((field) => [field.name, field.kind]));
  const value = (key: string, text: string | number) => {
    const kind = kinds.get(key);
    if (kind === 'digest') return Buffer.from(String(text), 'hex').toString('latin1');
    return kind === 'u64' || kind === 'time' ? BigInt(text) : text;
  };
  const rows = json.rows.map((row) => {
    assert.ok(Object.keys(row).every((key) => kinds.has(key)));
    return Object.fromEntries(Object.entries(row).map(([key, text]) => [key, value(key, text)]));
  });
  return { json, rows, bytes: new Uint8Array(readFileSync(new URL(`${name}.cbor`, GOLDEN))) };
}

for (const definition of Object.values(EVENTS) as EventDefinition[]) {
  describe(`the golden message of ${definition.name}`, () => {
    const { json, rows, bytes } = goldenOf(definition);
    const expected = rows.map((row) => blankRow(definition, row as Partial<RowOf<EventDefinition>>));

    it('is read by our decoder as the rows beside it', () => {
      const decoded = decodeBatch(bytes);
      if (!decoded.ok) assert.fail(decoded.detail);
      const { node, boot, probeEpoch, batchSeq, type } = decoded.batch;
      assert.deepEqual(rowsOf(decoded.batch), expected);
      const { rows: _, ...header } = json;
      assert.deepEqual({ node, boot, type, probe_epoch: `${probeEpoch}`, batch_seq: batchSeq }, header);
    });

    const old = new URL(`v1/${definition.name}.cbor`, GOLDEN);
    it('was read in version 1 as the same rows', { skip: !existsSync(old) && 'came after version 1' }, () => {
      const decoded = decodeBatch(new Uint8Array(readFileSync(old)));
      if (!decoded.ok) assert.fail(decoded.detail);
      const now = decodeBatch(bytes);
      assert.ok(now.ok);
      assert.deepEqual(decoded.batch, now.batch);
    });

    for (const [library, read] of Object.entries(OTHERS)) {
      it(`is read by ${library} as the same rows`, () => {
        const { header, rows: found } = read(bytes, definition);
        assert.deepEqual(found, expected);
        const { v, probe_epoch, batch_seq, rows: count, ...names } = header;
        assert.deepEqual(names, { type: json.type, node: json.node, boot: json.boot });
        assert.deepEqual([v, count, Number(batch_seq)], [2, expected.length, json.batch_seq]);
        assert.equal(BigInt(probe_epoch as number), BigInt(json.probe_epoch));
      });
    }
  });

  it(`any message of ${definition.name} rows is read by the other libraries as it was written`, () => {
    const message = fc.tuple(headerArbitrary, rowsArbitrary(definition, 300));
    const property = fc.property(message, ([header, rows]) => {
      const bytes = encodeBatch(definition, header, rows);
      for (const read of Object.values(OTHERS)) {
        const found = read(bytes, definition);
        assert.deepEqual(found.rows, rows);
        assert.equal(BigInt(found.header.probe_epoch as number), header.probeEpoch);
        assert.equal(BigInt(found.header.batch_seq as number), BigInt(header.batchSeq));
        assert.deepEqual([found.header.node, found.header.boot], [header.node, header.boot]);
      }
    });
    fc.assert(property, { numRuns: 60 });
  });
}
