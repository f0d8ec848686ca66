import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { clearColumns, openColumns, putText, reserveRow, textCells } from './batch-columns.ts';
import { decodeBatch } from './batch-decode.ts';
import { encodeColumns } from './batch-encode.ts';
import { exit } from './exit.ts';
import { textAt } from './row.ts';
import { createTextTable, latin1 } from './text-table.ts';

describe('a table of texts', () => {
  it('gives equal bytes one text and different bytes different ones, wherever they lie', () => {
    const byte = fc.integer({ min: 0, max: 2 });
    const property = fc.property(fc.array(fc.array(byte, { maxLength: 9 })), fc.nat(7), (lists, shift) => {
      const table = createTextTable();
      const texts = lists.map((list) => {
        const memory = Uint8Array.from([...Array(shift).fill(9), ...list, 9]);
        return table.intern(memory, shift, shift + list.length);
      });
      for (const [index, text] of texts.entries()) {
        assert.deepEqual([...text.bytes], lists[index]);
        assert.equal(table.internLatin1(latin1(text)), text);
        for (const [other, list] of lists.entries()) {
          assert.equal(texts[other] === text, String(list) === String(lists[index]));
        }
      }
    });
    fc.assert(property);
  });

  it('keeps nothing of the memory a text was found in', () => {
    for (const memory of [Uint8Array.of(1, 2, 3), Buffer.of(1, 2, 3)]) {
      const text = createTextTable().intern(memory, 0, 3);
      memory.fill(7);
      assert.deepEqual([...text.bytes], [1, 2, 3]);
    }
  });

  it('keeps what is met again and again, and forgets the rest', () => {
    const table = createTextTable();
    const [often, once] = [table.internLatin1('often'), table.internLatin1('once')];
    for (let count = 0; count < 50_000; count++) {
      table.internLatin1(`text ${count}`);
      assert.equal(table.internLatin1('often'), often);
    }
    assert.notEqual(table.internLatin1('once'), once);
  });
});

describe('a dictionary', () => {
  it('has a text once, also when the table had forgotten it', () => {
    const columns = openColumns(exit, 4);
    const cells = textCells(columns, 'workload');
    const { table } = cells;
    const old = table.internLatin1('same');
    for (let count = 0; count < 50_000; count++) table.internLatin1(`text ${count}`);
    const fresh = table.internLatin1('same');
    assert.notEqual(fresh, old);
    for (let batch = 0; batch < 2; batch++) {
      for (const text of [old, fresh, table.internLatin1('other'), old]) {
        putText(cells, reserveRow(columns), text);
        columns.rows += 1;
      }
      assert.deepEqual(cells.dict.map(latin1), ['same', 'other']);
      assert.deepEqual([...cells.codes.subarray(0, 4)], [0, 0, 1, 0]);
      clearColumns(columns);
    }
  });

  it('of a part of the rows holds what those rows say', () => {
    const columns = openColumns(exit, 4);
    const cells = textCells(columns, 'workload');
    const words = ['a', 'b', 'c', 'b', 'd', 'd'];
    for (const text of words) {
      const row = reserveRow(columns);
      for (const other of columns.texts) putText(other, row, other.table.internLatin1(''));
      putText(cells, row, cells.table.internLatin1(text));
      columns.rows += 1;
    }
    for (let from = 0; from < words.length; from++) {
      for (let to = from + 1; to <= words.length; to++) {
        const header = { node: 'n', boot: 'b', probeEpoch: 1n, batchSeq: 0 };
        const decoded = decodeBatch(encodeColumns(columns, header, from, to));
        if (!decoded.ok) assert.fail(decoded.detail);
        const { rows } = decoded.batch;
        const found = Array.from({ length: rows }, (_, row) => textAt(decoded.batch, 'workload', row));
        assert.deepEqual(found, words.slice(from, to));
      }
    }
  });
});
