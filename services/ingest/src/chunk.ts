/**
 * Rows of one event type as columns. Small messages are gathered into chunks as soon as they are decoded: their own
 * columns, fifty arrays for a few rows each, are let go at once, and a block is joined from few pieces.
 */
import { isKnownEmpty } from '@bintrail/schemas/batch-arena.ts';
import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import {
  type Codes,
  type Column,
  DIGEST_BYTES,
  isTextKind,
  NUMBER_FORMATS,
  type NumberColumn,
  type TextColumn,
} from '@bintrail/schemas/column.ts';
import type { EventDefinition, Kind } from '@bintrail/schemas/field.ts';
import { createDictionary, type Dictionary } from './dictionary.ts';

/** In the order of the definition's fields. A chunk may grow; rows it has stay as they are. */
export type Chunk = { readonly columns: readonly Column[] };

/** Rows `from` to `from + rows - 1` of a chunk. */
export type Span = { readonly chunk: Chunk; readonly from: number; readonly rows: number };

/** A message of more rows stays as it is: copying it would cost more than it saves. */
export const MAX_GATHERED_ROWS = 256;
const FIRST_ROWS = 512;
/** Enough that a block is made of few, and no more memory than a few messages keep in use. */
const MAX_CHUNK_ROWS = 8192;

/** A message by itself. */
export function chunkOf(definition: EventDefinition, batch: Batch): Span {
  const columns = definition.fields.map(({ name }) => batch.columns.get(name)!);
  return { chunk: { columns }, from: 0, rows: batch.rows };
}

/** Gathers small messages of all types; each call says where the message's rows are then. */
export type Gather = (definition: EventDefinition, batch: Batch) => Span;

export function createGather(): Gather {
  const open = new Map<EventDefinition, Growing>();
  return (definition, batch) => {
    if (batch.rows > MAX_GATHERED_ROWS) return chunkOf(definition, batch);
    let growing = open.get(definition);
    if (growing === undefined || growing.rows + batch.rows > MAX_CHUNK_ROWS) {
      growing = createGrowing(definition);
      open.set(definition, growing);
    }
    const from = growing.rows;
    append(growing, batch);
    return { chunk: growing, from, rows: batch.rows };
  };
}

type Growing = { readonly columns: Column[]; readonly gatherers: readonly Gatherer[]; rows: number; capacity: number };

type Gatherer = {
  readonly name: string;
  readonly kind: Kind;
  readonly width: number;
  /** Of a text column. */
  readonly dictionary: Dictionary | undefined;
};

function createGrowing({ fields }: EventDefinition): Growing {
  const gatherers = fields.map(({ name, kind }): Gatherer => {
    const dictionary = isTextKind(kind) ? createDictionary() : undefined;
    return { name, kind, width: kind === 'digest' ? DIGEST_BYTES : 1, dictionary };
  });
  return { columns: gatherers.map((one) => emptyColumn(one, FIRST_ROWS)), gatherers, rows: 0, capacity: FIRST_ROWS };
}

function emptyColumn({ kind, dictionary, width }: Gatherer, capacity: number): Column {
  if (dictionary !== undefined) return { dict: dictionary.texts, codes: new Uint16Array(capacity) };
  return kind === 'digest' ? new Uint8Array(capacity * width) : NUMBER_FORMATS[kind as 'u8'].make(capacity);
}

function append(growing: Growing, batch: Batch): void {
  const { gatherers, columns, rows } = growing;
  if (rows + batch.rows > growing.capacity) grow(growing);
  for (let index = 0; index < gatherers.length; index++) {
    const { name, width, dictionary } = gatherers[index]!;
    const part = batch.columns.get(name)!;
    const column = columns[index]!;
    // A chunk is new memory: what is never written is 0.
    if (dictionary === undefined && isKnownEmpty(part)) continue;
    if (dictionary !== undefined) appendTexts(dictionary, column as TextColumn, rows, part as TextColumn);
    else (column as Uint8Array).set(part as Uint8Array, rows * width);
  }
  growing.rows += batch.rows;
}

function grow(growing: Growing): void {
  growing.capacity = Math.min(growing.capacity * 4, MAX_CHUNK_ROWS);
  growing.columns.forEach((column, index) => {
    const larger = emptyColumn(growing.gatherers[index]!, growing.capacity);
    if ('dict' in column) (larger as TextColumn).codes.set(column.codes);
    else (larger as Uint8Array).set(column as Uint8Array);
    growing.columns[index] = larger;
  });
}

/** A chunk has at most as many texts as rows, so two bytes a code are enough. */
function appendTexts(dictionary: Dictionary, { codes }: TextColumn, at: number, part: TextColumn): void {
  const { dict } = part;
  if (dict.length === 1) {
    const code = dictionary.codeOf(dict[0]!);
    if (code !== 0) for (let row = 0; row < part.codes.length; row++) codes[at + row] = code;
    return;
  }
  const moved = dict.map(dictionary.codeOf);
  for (let row = 0; row < part.codes.length; row++) codes[at + row] = moved[part.codes[row]!]!;
}

/** The columns of some spans, number `index` of the definition; spans that follow on one another in a chunk are one. */
export function numberParts(spans: readonly Span[], index: number, width: number): NumberColumn[] {
  return spans.map(({ chunk, from, rows }) => {
    const column = chunk.columns[index] as Uint8Array;
    return rows * width === column.length ? column : column.subarray(from * width, (from + rows) * width);
  });
}

export function textParts(spans: readonly Span[], index: number): TextColumn[] {
  return spans.map(({ chunk, from, rows }) => {
    const { dict, codes } = chunk.columns[index] as TextColumn;
    return { dict, codes: rows === codes.length ? codes : (codes.subarray(from, from + rows) as Codes) };
  });
}

/** Joins spans that follow on one another. */
export function joinSpans(spans: readonly Span[]): Span[] {
  const joined: Span[] = [];
  for (const span of spans) {
    const last = joined.at(-1);
    if (last !== undefined && last.chunk === span.chunk && last.from + last.rows === span.from) {
      joined[joined.length - 1] = { ...last, rows: last.rows + span.rows };
    } else joined.push(span);
  }
  return joined;
}
