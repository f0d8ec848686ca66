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

const ALIGNMENT = 8;

export function openArena(definition: EventDefinition, rows: number): Arena {
  let sizeBytes = 0;
  for (const { kind } of definition.fields) sizeBytes += aligned(rows * widthBytes(kind));
  return { buffer: new ArrayBuffer(sizeBytes), at: 0 };
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

/** What a column is that a message leaves out: all zero, or all empty. */
export function emptyColumn(arena: Arena, field: Field, rows: number): Column {
  if (field.kind === 'digest') return takeBytes(arena, rows * DIGEST_BYTES);
  if (isTextKind(field.kind)) return { dict: NO_TEXT, codes: takeBytes(arena, rows) };
  return takeNumbers(arena, field.kind, rows);
}
