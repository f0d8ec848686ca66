import type { Kind } from './field.ts';

/** Codes into a dictionary; the narrowest array that holds the largest code. */
export type Codes = Uint8Array | Uint16Array | Uint32Array;

/** A column of byte strings: distinct values once, and one code a row. */
export type TextColumn = { readonly dict: readonly Uint8Array[]; readonly codes: Codes };

export type NumberColumn = Uint8Array | Uint16Array | Uint32Array | Int32Array | BigUint64Array;

/** A decoded column. Digests are one array of rows × 32 bytes. */
export type Column = NumberColumn | TextColumn;

export type NumberKind = Exclude<Kind, 'text' | 'bytes' | 'digest'>;

export const DIGEST_BYTES = 32;

type NumberFormat = {
  /** Little-endian typed-array tag of RFC 8746 §2.1; none for bytes, which travel as a plain byte string. */
  readonly tag: number | undefined;
  readonly sizeBytes: 1 | 2 | 4 | 8;
  readonly min: bigint;
  readonly max: bigint;
  readonly make: (rows: number) => NumberColumn;
  /** The same as a view of memory that is there; `offset` a multiple of `sizeBytes`. */
  readonly view: (buffer: ArrayBuffer, offset: number, rows: number) => NumberColumn;
};

const bits = (count: bigint) => (1n << count) - 1n;

type ArrayOf<A> = { new (rows: number): A; new (buffer: ArrayBuffer, offset: number, rows: number): A };

function arrays<A extends NumberColumn>(array: ArrayOf<A>): Pick<NumberFormat, 'make' | 'view'> {
  return { make: (rows) => new array(rows), view: (buffer, offset, rows) => new array(buffer, offset, rows) };
}

/** How each numeric kind is stored, on the wire and in memory. */
export const NUMBER_FORMATS: Record<NumberKind, NumberFormat> = {
  u8: { tag: undefined, sizeBytes: 1, min: 0n, max: bits(8n), ...arrays(Uint8Array) },
  u16: { tag: 69, sizeBytes: 2, min: 0n, max: bits(16n), ...arrays(Uint16Array) },
  u32: { tag: 70, sizeBytes: 4, min: 0n, max: bits(32n), ...arrays(Uint32Array) },
  u64: { tag: 71, sizeBytes: 8, min: 0n, max: bits(64n), ...arrays(BigUint64Array) },
  i32: { tag: 78, sizeBytes: 4, min: -(1n << 31n), max: bits(31n), ...arrays(Int32Array) },
  // ClickHouse's DateTime64(9) is a signed 64-bit count: the year 2262 is the limit of both.
  time: { tag: 71, sizeBytes: 8, min: 0n, max: bits(63n), ...arrays(BigUint64Array) },
};

export function isTextKind(kind: Kind): kind is 'text' | 'bytes' {
  return kind === 'text' || kind === 'bytes';
}

/** The narrowest code array for a dictionary of this size. */
export function makeCodes(rows: number, dictSize: number): Codes {
  if (dictSize <= 0x100) return new Uint8Array(rows);
  return dictSize <= 0x1_0000 ? new Uint16Array(rows) : new Uint32Array(rows);
}
