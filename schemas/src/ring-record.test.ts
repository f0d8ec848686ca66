import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isTextKind, NUMBER_FORMATS, type NumberKind } from './column.ts';
import { blankRow, rowArbitrary } from './event-rows.fixture.ts';
import { EVENTS } from './events.ts';
import { exit } from './exit.ts';
import type { EventDefinition, RowOf } from './field.ts';
import { recordLayout } from './layout.ts';
import { readRecordHead, ringDecoder } from './ring-record.ts';

const kernelEvents: EventDefinition[] = Object.values(EVENTS).filter(({ id }) => id > 0);

type AnyRow = Record<string, number | bigint | string>;

/** A record as the C struct lies in memory: fields in order at their natural alignment, texts behind. */
function writeRecord({ fields }: EventDefinition, row: AnyRow): Buffer {
  const kernel = fields.filter(({ from }) => from === 'kernel');
  const fixed = Buffer.alloc(4096);
  let at = 24;
  for (const { name, kind } of kernel.filter((field) => !isTextKind(field.kind))) {
    const { sizeBytes } = NUMBER_FORMATS[kind as NumberKind];
    if (sizeBytes === 8) fixed.writeBigUInt64LE(row[name] as bigint, at);
    else if (kind === 'i32') fixed.writeInt32LE(row[name] as number, at);
    else fixed.writeUIntLE(row[name] as number, at, sizeBytes);
    at += sizeBytes;
  }
  const texts: Buffer[] = [];
  for (const { name } of kernel.filter((field) => isTextKind(field.kind))) {
    const text = Buffer.from(row[name] as string, 'latin1');
    fixed.writeUInt16LE(text.length, at);
    texts.push(text);
    at += 2;
  }
  return Buffer.concat([fixed.subarray(0, Math.ceil(at / 8) * 8), ...texts]);
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

describe('a ring record', () => {
  it('of an exit, written out byte by byte', () => {
    const bytes = Buffer.from(
      [
        '02000000 03000000 0500000000000000 0700000000000000', // type, cpu, seq, boot_ns
        '0a000000 0b000000 ffffffffffffffff', // pid, self_exec_id, start_ns
        'ff000000 09000000', // exit_code, signal
      ]
        .join('')
        .replaceAll(' ', ''),
      'hex',
    );
    assert.deepEqual(readRecordHead(viewOf(bytes)), { type: 2, cpu: 3, seq: 5n, bootNs: 7n });
    assert.deepEqual(
      ringDecoder(exit)(viewOf(bytes)),
      blankRow(exit, { pid: 10, self_exec_id: 11, start_ns: (1n << 64n) - 1n, exit_code: 255, signal: 9 }),
    );
  });

  for (const definition of kernelEvents) {
    const decode = ringDecoder(definition);

    it(`of any ${definition.name} reads back what the kernel wrote, the rest empty`, () => {
      fc.assert(
        fc.property(rowArbitrary(definition), fc.nat({ max: 7 }), (row, shift) => {
          const record = writeRecord(definition, row as AnyRow);
          const kernel = definition.fields.filter(({ from }) => from === 'kernel').map(({ name }) => name);
          const known = Object.fromEntries(Object.entries(row).filter(([name]) => kernel.includes(name)));
          const expected = blankRow(definition, known as Partial<RowOf<EventDefinition>>);
          const shifted = Buffer.concat([Buffer.alloc(shift, 0xee), record, Buffer.alloc(9, 0xee)]);
          assert.deepEqual(decode(viewOf(shifted.subarray(shift, shift + record.length))), expected);
        }),
      );
    });

    it(`of an ${definition.name} is refused when it is longer or shorter than it says`, () => {
      fc.assert(
        fc.property(rowArbitrary(definition), (row) => {
          const record = writeRecord(definition, row as AnyRow);
          assert.equal(decode(viewOf(Buffer.concat([record, Buffer.of(0)]))), undefined);
          const cuts = [0, 23, recordLayout(definition).sizeBytes - 1, record.length - 1];
          for (const length of cuts) assert.equal(decode(viewOf(record.subarray(0, length))), undefined);
        }),
      );
    });

    it(`of random bytes is an ${definition.name} or none, never a crash`, () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
          const row = decode(viewOf(bytes));
          if (row === undefined) return;
          assert.deepEqual(Object.keys(row).sort(), definition.fields.map(({ name }) => name).sort());
        }),
        { numRuns: 2000 },
      );
    });
  }

  it('has no head when it is shorter than one', () => {
    assert.equal(readRecordHead(viewOf(new Uint8Array(23))), undefined);
    assert.deepEqual(readRecordHead(viewOf(new Uint8Array(24))), { type: 0, cpu: 0, seq: 0n, bootNs: 0n });
  });
});
