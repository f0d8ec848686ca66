/** The texts behind a record's numbers, found in the tables of their columns without being decoded. */
import { type BatchColumns, putText, textCells } from '@bintrail/schemas/batch-columns.ts';
import type { RecordLayout } from '@bintrail/schemas/layout.ts';
import { hasBytes, type Text, type TextTable } from '@bintrail/schemas/text-table.ts';
import type { RecordBuffer } from './record-buffer.ts';

export type RecordTexts = {
  /** Where a text of this name stands in `found`. */
  readonly position: (name: string) => number;
  /** False when the record's size does not equal what its lengths say. */
  readonly read: (records: RecordBuffer, index: number) => boolean;
  /** The texts of the record read last; arguments are of the raw table. */
  readonly found: readonly Text[];
  /** Gives a row the texts read last, all but the arguments, which are not yet fit to leave. */
  readonly put: (row: number) => void;
};

/**
 * `hintsOf` gives each path a list of its own, in which the other texts of its last record are kept: a program mostly runs
 * under the same name, and is told by comparing alone.
 */
export function createRecordTexts(
  layout: RecordLayout,
  columns: BatchColumns,
  rawArguments: TextTable,
  hintsOf: (path: Text) => (Text | undefined)[],
): RecordTexts {
  const slots = layout.texts.map(({ name, offset }) => {
    const cells = textCells(columns, name);
    return { name, offset, cells, table: name === 'argv' ? rawArguments : cells.table };
  });
  const pathAt = slots.findIndex(({ name }) => name === 'path');
  const found: Text[] = [];

  const read = (records: RecordBuffer, index: number): boolean => {
    const start = records.starts[index]!;
    const end = start + records.lengths[index]!;
    let at = start + layout.sizeBytes;
    if (at > end || !fits(records, start, at, end)) return false;
    let hints: (Text | undefined)[] | undefined;
    for (let slot = 0; slot < slots.length; slot++) {
      const { offset, table } = slots[slot]!;
      const next = at + lengthAt(records, start + offset);
      const hint = hints?.[slot];
      const isHint = hint !== undefined && hasBytes(hint, records.bytes, at, next);
      const text = isHint ? hint : table.intern(records.bytes, at, next);
      found[slot] = text;
      if (slot === pathAt) hints = hintsOf(text);
      else if (hints !== undefined) hints[slot] = text;
      at = next;
    }
    return true;
  };
  const fits = (records: RecordBuffer, start: number, textsAt: number, end: number): boolean => {
    let at = textsAt;
    for (let slot = 0; slot < slots.length; slot++) at += lengthAt(records, start + slots[slot]!.offset);
    return at === end;
  };
  const put = (row: number) => {
    for (let slot = 0; slot < slots.length; slot++) {
      const { cells, table } = slots[slot]!;
      if (table === cells.table) putText(cells, row, found[slot]!);
    }
  };
  return { position: (name) => slots.findIndex((slot) => slot.name === name), read, found, put };
}

function lengthAt({ bytes }: RecordBuffer, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}
