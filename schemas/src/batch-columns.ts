/**
 * Rows of one event on their way into a message, held as columns: 32-bit words of numbers, and codes of texts. Rows come
 * as objects, or are written word by word by who has them in another form.
 */
import { DIGEST_BYTES, isTextKind, NUMBER_FORMATS, type NumberKind } from './column.ts';
import { columnKey } from './column-keys.ts';
import type { EventDefinition, Field, RowOf } from './field.ts';
import { createTextTable, type Text, type TextTable } from './text-table.ts';

/** Numbers of one field; a row of a 64-bit kind takes two words, the lower first. */
export type NumberCells = {
  readonly field: Field;
  readonly key: number;
  readonly kind: NumberKind;
  readonly wide: boolean;
  words: Uint32Array;
};

/** Byte strings of one field, digests too: an absent one is empty. */
export type TextCells = {
  readonly field: Field;
  readonly key: number;
  readonly table: TextTable;
  codes: Uint32Array;
  /** What the codes stand for, in the order of the first row that has it. */
  readonly dict: Text[];
  batch: number;
};

export type BatchColumns = {
  readonly definition: EventDefinition;
  readonly numbers: readonly NumberCells[];
  readonly texts: readonly TextCells[];
  rows: number;
  capacity: number;
};

export function openColumns(definition: EventDefinition, capacity: number): BatchColumns {
  const numbers: NumberCells[] = [];
  const texts: TextCells[] = [];
  for (const field of definition.fields) {
    const { name, kind } = field;
    const key = columnKey(name);
    if (isTextKind(kind) || kind === 'digest') {
      const codes = new Uint32Array(capacity);
      texts.push({ field, key, table: createTextTable(), codes, dict: [], batch: 0 });
    } else {
      const wide = NUMBER_FORMATS[kind].sizeBytes === 8;
      numbers.push({ field, key, kind, wide, words: new Uint32Array(wide ? 2 * capacity : capacity) });
    }
  }
  return { definition, numbers, texts, rows: 0, capacity };
}

/** The cells of a number, for writers who know their event. Throws when it has none of this name. */
export function numberCells({ definition, numbers }: BatchColumns, name: string): NumberCells {
  const found = numbers.find(({ field }) => field.name === name);
  if (found === undefined) throw new Error(`${definition.name} has no number ${name}`);
  return found;
}

export function textCells({ definition, texts }: BatchColumns, name: string): TextCells {
  const found = texts.find(({ field }) => field.name === name);
  if (found === undefined) throw new Error(`${definition.name} has no text ${name}`);
  return found;
}

/** Gives a row its text, which must be of this column's table, now or once. */
export function putText(cells: TextCells, row: number, text: Text): void {
  if (text.batch !== cells.batch) enterDictionary(cells, text);
  cells.codes[row] = text.code;
}

/** A text that the table has forgotten and met anew exists twice: both must get one code. */
function enterDictionary(cells: TextCells, text: Text): void {
  const known = cells.table.own(text);
  if (known.batch !== cells.batch) {
    known.code = cells.dict.push(known) - 1;
    known.batch = cells.batch;
  }
  text.code = known.code;
  text.batch = cells.batch;
}

/** Makes room for one more row. */
export function reserveRow(columns: BatchColumns): number {
  if (columns.rows === columns.capacity) grow(columns);
  return columns.rows;
}

function grow(columns: BatchColumns): void {
  columns.capacity *= 2;
  for (const cells of columns.numbers) {
    const words = new Uint32Array(cells.words.length * 2);
    words.set(cells.words);
    cells.words = words;
  }
  for (const cells of columns.texts) {
    const codes = new Uint32Array(cells.codes.length * 2);
    codes.set(cells.codes);
    cells.codes = codes;
  }
}

type Value = number | bigint | string;

const wideCell = new BigUint64Array(1);
const wideWords = new Uint32Array(wideCell.buffer);

/** Appends a row. Throws RangeError for a value its kind cannot hold; then nothing is appended. */
export function addRow<D extends EventDefinition>(columns: BatchColumns, row: RowOf<D>): void {
  const at = reserveRow(columns);
  const values = row as Readonly<Record<string, Value>>;
  for (const { field, kind, wide, words } of columns.numbers) {
    const value = values[field.name] as number | bigint;
    if (!isOf(kind, value)) throw new RangeError(`${field.name} = ${value} is no ${kind}`);
    if (wide) {
      wideCell[0] = BigInt(value);
      words[2 * at] = wideWords[0]!;
      words[2 * at + 1] = wideWords[1]!;
    } else words[at] = Number(value);
  }
  for (const cells of columns.texts) {
    const text = values[cells.field.name] as string;
    checkText(cells.field, text);
    putText(cells, at, cells.table.internLatin1(text));
  }
  columns.rows += 1;
}

function isOf(kind: NumberKind, value: number | bigint): boolean {
  const { min, max } = NUMBER_FORMATS[kind];
  return value >= min && value <= max && (typeof value === 'bigint' || Number.isInteger(value));
}

const LATIN1 = /^[\0-\xff]*$/;

function checkText({ name, kind }: Field, text: string): void {
  if (!LATIN1.test(text)) throw new RangeError(`${name} holds no bytes but text: ${JSON.stringify(text)}`);
  if (kind === 'digest' && text !== '' && text.length !== DIGEST_BYTES) {
    throw new RangeError(`${name} has ${text.length} bytes, not ${DIGEST_BYTES}`);
  }
}

/** Forgets the rows, not the texts. */
export function clearColumns(columns: BatchColumns): void {
  columns.rows = 0;
  for (const cells of columns.texts) {
    cells.dict.length = 0;
    cells.batch += 1;
  }
}
