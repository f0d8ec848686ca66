/**
 * ClickHouse's Native format, written: one block, column after column. Grammar (ClickHouse 26.7, NativeReader.cpp and
 * SerializationLowCardinality.cpp; no client protocol revision over HTTP, so no block info and no serialization kinds):
 *
 *   block   = varuint columns, varuint rows, { string name, string type, data }
 *   string  = varuint length, bytes
 *   LowCardinality data = u64 1, u64 (index width | 1 << 9), u64 keys, { string }, u64 rows, indexes
 *
 * Numbers are little-endian, as typed arrays are on every machine Node's x64 and arm64 builds run on.
 */
import { makeCodes, type NumberColumn, type TextColumn } from '@bintrail/schemas/column.ts';

/** One column of a block: its data as byte chunks, in order. */
export type NativeColumn = { readonly name: string; readonly type: string; readonly data: readonly Uint8Array[] };

// SerializationLowCardinality.cpp: keys stand in the block itself, no shared dictionary.
const HAS_ADDITIONAL_KEYS = 1 << 9;

/** Joins columns to one block. All of them must hold exactly `rows` values. */
export function nativeBlock(columns: readonly NativeColumn[], rows: number): Buffer {
  const parts: Uint8Array[] = [varuint(columns.length), varuint(rows)];
  for (const { name, type, data } of columns) {
    parts.push(nativeString(Buffer.from(name)), nativeString(Buffer.from(type)), ...data);
  }
  return Buffer.concat(parts);
}

/** Data of a number or FixedString column: the arrays' own bytes, one after the other. */
export function numberData(arrays: readonly NumberColumn[]): Uint8Array[] {
  return arrays.map((array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
}

/** Data of a LowCardinality(String) column: one dictionary for all parts, their codes moved over to it. */
export function lowCardinalityData(parts: readonly TextColumn[]): Uint8Array[] {
  const codeOf = new Map<string, number>();
  const keys: Uint8Array[] = [];
  const remaps = parts.map(({ dict }) =>
    dict.map((text) => {
      const bytes = Buffer.from(text.buffer, text.byteOffset, text.byteLength);
      const key = bytes.toString('latin1');
      const known = codeOf.get(key);
      if (known !== undefined) return known;
      keys.push(nativeString(bytes));
      codeOf.set(key, codeOf.size);
      return codeOf.size - 1;
    }),
  );
  const rows = rowsOf(parts);
  const indexes = makeCodes(rows, codeOf.size);
  let at = 0;
  for (const [index, { codes }] of parts.entries()) {
    const remap = remaps[index]!;
    if (remap.length === 1) indexes.fill(remap[0]!, at, at + codes.length);
    else if (remap.every((code, position) => code === position)) indexes.set(codes, at);
    else for (let row = 0; row < codes.length; row++) indexes[at + row] = remap[codes[row]!]!;
    at += codes.length;
  }
  const width = BigInt(Math.log2(indexes.BYTES_PER_ELEMENT));
  const head = BigUint64Array.of(1n, width | BigInt(HAS_ADDITIONAL_KEYS), BigInt(keys.length));
  return [...numberData([head]), ...keys, ...numberData([BigUint64Array.of(BigInt(rows)), indexes])];
}

/** Data of a String column. */
export function stringData(parts: readonly TextColumn[]): Uint8Array[] {
  return parts.map(({ dict, codes }) => {
    const texts = dict.map(nativeString);
    let sizeBytes = 0;
    for (const code of codes) sizeBytes += texts[code]!.length;
    const data = new Uint8Array(sizeBytes);
    let at = 0;
    for (const code of codes) {
      const text = texts[code]!;
      data.set(text, at);
      at += text.length;
    }
    return data;
  });
}

function rowsOf(parts: readonly TextColumn[]): number {
  return parts.reduce((rows, part) => rows + part.codes.length, 0);
}

function nativeString(bytes: Uint8Array): Uint8Array {
  const length = varuint(bytes.length);
  const string = new Uint8Array(length.length + bytes.length);
  string.set(length);
  string.set(bytes, length.length);
  return string;
}

/** LEB128, as ClickHouse's writeVarUInt. Values below 2^31. */
function varuint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
