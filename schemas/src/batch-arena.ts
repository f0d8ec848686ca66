/** Memory for the columns of one message: a small one would otherwise cost fifty allocations. */
import {
  type Codes,
  type Column,
  DIGEST_BYTES,
  isTextKind,
  makeCodes,
  NUMBER_FORMATS,
  type NumberColumn,
  type NumberKind,
} from './column.ts';
import type { EventDefinition, Field, Kind } from './field.ts';

export type Arena = { readonly buffer: ArrayBuffer; at: number };

/** Where the columns of so many rows of an event go. */
export type MakeArena = (definition: EventDefinition, rows: number) => Arena;

const ALIGNMENT = 8;

export const openArena: MakeArena = (definition, rows) => ({
  buffer: new ArrayBuffer(sizeOf(definition, rows)),
  at: 0,
});

/**
 * For who copies the columns of a small message before decoding the next, which overwrites them: memory outside of the
 * heap costs more to get and to let go than a few rows to read. Messages of more than `maxRows` rows have memory of their own.
 */
export function reusedArena(maxRows: number): MakeArena {
  let buffer = new ArrayBuffer(0);
  return (definition, rows) => {
    if (rows > maxRows) return openArena(definition, rows);
    const sizeBytes = sizeOf(definition, rows);
    if (sizeBytes > buffer.byteLength) buffer = new ArrayBuffer(2 * sizeBytes);
    return { buffer, at: 0 };
  };
}

const rowBytes = new WeakMap<EventDefinition, number>();

/** No less than all columns take, each aligned. */
function sizeOf(definition: EventDefinition, rows: number): number {
  let widths = rowBytes.get(definition);
  if (widths === undefined) {
    widths = definition.fields.reduce((sum, { kind }) => sum + widthBytes(kind), 0);
    rowBytes.set(definition, widths);
  }
  return rows * widths + definition.fields.length * ALIGNMENT;
}

/** Bytes of a row; a text's is its code, which has a place of its own where one byte is not enough. */
function widthBytes(kind: Kind): number {
  if (kind === 'digest') return DIGEST_BYTES;
  return isTextKind(kind) ? 1 : NUMBER_FORMATS[kind].sizeBytes;
}

function aligned(sizeBytes: number): number {
  return Math.ceil(sizeBytes / ALIGNMENT) * ALIGNMENT;
}

export function takeBytes(arena: Arena, length: number): Uint8Array<ArrayBuffer> {
  const from = arena.at;
  arena.at += aligned(length);
  return new Uint8Array(arena.buffer, from, length);
}

export function takeNumbers(arena: Arena, kind: NumberKind, rows: number): NumberColumn {
  const { view, sizeBytes } = NUMBER_FORMATS[kind];
  const from = arena.at;
  arena.at += aligned(rows * sizeBytes);
  return view(arena.buffer, from, rows);
}

export function takeCodes(arena: Arena, rows: number, dictSize: number): Codes {
  return dictSize <= 0x100 ? takeBytes(arena, rows) : makeCodes(rows, dictSize);
}

const NO_TEXT: readonly Uint8Array[] = [Buffer.alloc(0)];

/** Shared by all columns of small messages that hold nothing but zeros; nobody writes to it. */
const SMALL_ROWS = 256;
const ZEROS = new ArrayBuffer(SMALL_ROWS * DIGEST_BYTES);
const zeroColumns = new Map<number, Column>();

/** Codes of a column with one text. */
export function zeroCodes(rows: number): Uint8Array {
  return zeros('u8', rows) as Uint8Array;
}

/** What a column is that a message leaves out: all zero, or all empty. */
export function emptyColumn({ kind }: Field, rows: number): Column {
  if (kind === 'digest') return zeros('u8', rows * DIGEST_BYTES);
  if (isTextKind(kind)) return { dict: NO_TEXT, codes: zeroCodes(rows) };
  return zeros(kind, rows);
}

/** Whether a column is known to hold nothing without looking at its values. */
export function isKnownEmpty(column: Column): boolean {
  return 'dict' in column ? column.dict === NO_TEXT : column.buffer === ZEROS;
}

const KINDS = Object.keys(NUMBER_FORMATS) as readonly NumberKind[];

function zeros(kind: NumberKind, length: number): NumberColumn {
  const { sizeBytes, make, view } = NUMBER_FORMATS[kind];
  if (length * sizeBytes > ZEROS.byteLength) return make(length);
  const key = KINDS.indexOf(kind) + KINDS.length * length;
  let column = zeroColumns.get(key) as NumberColumn | undefined;
  if (column === undefined) {
    column = view(ZEROS, 0, length);
    zeroColumns.set(key, column);
  }
  return column;
}
