/** Turns records (rows that are no events) into one Native block, by a list of columns. */
import type { TextColumn } from '@bintrail/schemas/column.ts';
import {
  type ColumnData,
  fixedStringData,
  lowCardinalityData,
  type NativeColumn,
  nativeBlock,
  numberData,
  stringData,
} from './native-block.ts';

/** How a value of a row is written. Texts are byte strings; a FixedString(32) takes exactly 32 bytes. */
export type RecordColumn<Row> =
  | { readonly name: string; readonly type: 'UInt8' | 'UInt32'; readonly of: (row: Row) => number }
  | {
      readonly name: string;
      readonly type: 'UInt64' | "DateTime64(3, 'UTC')" | "DateTime64(9, 'UTC')";
      readonly of: (row: Row) => bigint;
    }
  | {
      readonly name: string;
      readonly type: 'String' | 'LowCardinality(String)' | 'FixedString(32)';
      readonly of: (row: Row) => Uint8Array;
    };

/** The block of at least one row. */
export function recordBlock<Row>(columns: readonly RecordColumn<Row>[], rows: readonly Row[]): Buffer {
  return nativeBlock(
    columns.map((column): NativeColumn => ({ name: column.name, type: column.type, data: columnData(column, rows) })),
    rows.length,
  );
}

function columnData<Row>(column: RecordColumn<Row>, rows: readonly Row[]): ColumnData {
  switch (column.type) {
    case 'UInt8':
      return numberData([Uint8Array.from(rows, column.of)]);
    case 'UInt32':
      return numberData([Uint32Array.from(rows, column.of)]);
    case 'String':
      return stringData([distinct(rows.map(column.of))]);
    case 'LowCardinality(String)':
      return lowCardinalityData([distinct(rows.map(column.of))]);
    case 'FixedString(32)':
      return fixedStringData(rows.map(column.of));
    default:
      return numberData([BigUint64Array.from(rows, column.of)]);
  }
}

/** Every text its own entry: whoever writes the column merges them. */
function distinct(texts: readonly Uint8Array[]): TextColumn {
  return { dict: texts, codes: Uint32Array.from(texts.keys()) };
}
