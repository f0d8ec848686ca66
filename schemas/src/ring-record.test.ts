import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { writeRecord } from './damaged-record.fixture.ts';
import { blankRow, rowArbitrary } from './event-rows.fixture.ts';
import { exit } from './exit.ts';
import type { RowOf } from './field.ts';
import { KERNEL_RECORDS } from './kernel-records.ts';
import { type RecordDefinition, recordLayout } from './layout.ts';
import { readRecordHead, ringDecoder, ringRefusal } from './ring-record.ts';

type AnyRow = Record<string, number | bigint | string>;

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

  for (const definition of KERNEL_RECORDS) {
    const decode = ringDecoder(definition);

    it(`of any ${definition.name} reads back what the kernel wrote, the rest empty`, () => {
      fc.assert(
        fc.property(rowArbitrary(definition), fc.nat({ max: 7 }), (row, shift) => {
          const record = writeRecord(definition, row as AnyRow);
          const kernel = definition.fields.filter(({ from }) => from === 'kernel').map(({ name }) => name);
          const known = Object.fromEntries(Object.entries(row).filter(([name]) => kernel.includes(name)));
          const expected = blankRow(definition, known as Partial<RowOf<RecordDefinition>>);
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
  }

  it('has no head when it is shorter than one', () => {
    assert.equal(readRecordHead(viewOf(new Uint8Array(23))), undefined);
    assert.deepEqual(readRecordHead(viewOf(new Uint8Array(24))), { type: 0, cpu: 0, seq: 0n, bootNs: 0n });
  });

  it('that is not read has a reason', () => {
    const record = writeRecord(exit, blankRow(exit, {}) as AnyRow);
    assert.equal(ringRefusal(viewOf(record), exit), undefined);
    assert.equal(ringRefusal(viewOf(record), undefined), 'unknown_event');
    assert.equal(ringRefusal(viewOf(record.subarray(0, 23)), exit), 'no_head');
    assert.equal(ringRefusal(viewOf(record.subarray(0, 24)), exit), 'too_short');
    assert.equal(ringRefusal(viewOf(Buffer.concat([record, Buffer.of(0)])), exit), 'trailing_bytes');
  });
});
