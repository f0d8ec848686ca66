/**
 * Numbers of a ring record straight into columns, word by word, by the layout the C header is generated from. Texts, and
 * what user space adds, is the caller's to fill in.
 */
import { type BatchColumns, type NumberCells, numberCells } from './batch-columns.ts';
import { NUMBER_FORMATS } from './column.ts';
import { RECORD_HEADER_BYTES, type RecordLayout, recordLayout } from './layout.ts';

/** Records in memory that is 4-byte aligned, seen as words and as bytes. */
export type RecordMemory = { readonly words: Uint32Array; readonly bytes: Uint8Array };

/** What to add to the boot clock to get wall-clock time, as two words. */
export type Offset = { readonly low: number; readonly high: number };

export type RingColumns = {
  readonly layout: RecordLayout;
  /** Position in words of a number of the record. */
  readonly wordOf: (name: string) => number;
  /** Writes all numbers of the record at this word into a row; the event's time is what `wallClock` made of it. */
  readonly copyNumbers: (memory: RecordMemory, word: number, row: number, time: Offset) => void;
};

type Copy = { readonly cells: NumberCells; readonly from: number };

/** For an event that the kernel numbered: it has `ts`, `cpu` and `cpu_seq`. */
export function ringColumns(columns: BatchColumns): RingColumns {
  const layout = recordLayout(columns.definition);
  const copies = layout.numbers.map(({ name, kind, offset }): Copy => {
    if (NUMBER_FORMATS[kind].sizeBytes < 4) throw new Error(`${name}: no kernel field was ever narrower than a word`);
    return { cells: numberCells(columns, name), from: offset / 4 };
  });
  const cpu: Copy = { cells: numberCells(columns, 'cpu'), from: 1 };
  const seq: Copy = { cells: numberCells(columns, 'cpu_seq'), from: 2 };
  const single = [...copies.filter(({ cells }) => !cells.wide), cpu];
  const double = [...copies.filter(({ cells }) => cells.wide), seq];
  const ts = numberCells(columns, 'ts');
  const copyNumbers = ({ words }: RecordMemory, word: number, row: number, time: Offset) => {
    for (let index = 0; index < single.length; index++) {
      const { cells, from } = single[index]!;
      cells.words[row] = words[word + from]!;
    }
    for (let index = 0; index < double.length; index++) {
      const { cells, from } = double[index]!;
      cells.words[2 * row] = words[word + from]!;
      cells.words[2 * row + 1] = words[word + from + 1]!;
    }
    ts.words[2 * row] = time.low;
    ts.words[2 * row + 1] = time.high;
  };
  const wordOf = (name: string) => {
    const slot = layout.numbers.find((number) => number.name === name);
    if (slot === undefined) throw new Error(`the kernel has no ${name}`);
    return slot.offset / 4;
  };
  return { layout, wordOf, copyNumbers };
}

const BOOT_NS_WORD = (RECORD_HEADER_BYTES - 8) / 4;

/** When a record was made, on the wall clock. */
export function wallClock({ words }: RecordMemory, word: number, offset: Offset): Offset {
  const low = words[word + BOOT_NS_WORD]! + offset.low;
  const carry = low > 0xffff_ffff ? 1 : 0;
  return { low: low >>> 0, high: (words[word + BOOT_NS_WORD + 1]! + offset.high + carry) >>> 0 };
}
