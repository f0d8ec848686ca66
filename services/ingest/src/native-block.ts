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
import { type Codes, makeCodes, type NumberColumn, type TextColumn } from '@bintrail/schemas/column.ts';
import { createDictionary } from './dictionary.ts';

/** A column's data: how long it is, and a function that writes it there. A block is written once, in one piece. */
export type ColumnData = {
  readonly sizeBytes: number;
  /** Writes from `at` and returns where it ended. */
  readonly write: (into: Uint8Array, at: number) => number;
};

/** One column of a block. */
export type NativeColumn = { readonly name: string; readonly type: string; readonly data: ColumnData };

// SerializationLowCardinality.cpp: keys stand in the block itself, no shared dictionary.
const HAS_ADDITIONAL_KEYS = 1 << 9;
const U64_BYTES = 8;
/** Of a value below 2^31. */
const MAX_VARUINT_BYTES = 5;

/** Joins columns to one block. All of them must hold exactly `rows` values. */
export function nativeBlock(columns: readonly NativeColumn[], rows: number): Buffer {
  const names = columns.map(({ name, type }) => [Buffer.from(name), Buffer.from(type)] as const);
  let sizeBytes = 2 * MAX_VARUINT_BYTES;
  for (const [name, type] of names) sizeBytes += stringBytes(name.length) + stringBytes(type.length);
  for (const { data } of columns) sizeBytes += data.sizeBytes;
  const block = Buffer.allocUnsafeSlow(sizeBytes);
  let at = writeVaruint(block, writeVaruint(block, 0, columns.length), rows);
  columns.forEach(({ data }, index) => {
    for (const text of names[index]!) at = writeString(block, at, text);
    at = data.write(block, at);
  });
  return block.subarray(0, at);
}

/** Data of a number or FixedString column: the arrays' own bytes, one after the other. All are of one type. */
export function numberData(arrays: readonly NumberColumn[]): ColumnData {
  let length = 0;
  for (const array of arrays) length += array.length;
  const [first] = arrays;
  const sizeBytes = length * first!.BYTES_PER_ELEMENT;
  const write = (into: Uint8Array, at: number): number => {
    // Joined as elements, then copied once: a view of the bytes of each small array costs more than the copy.
    const joined = arrays.length === 1 ? first! : joinNumbers(arrays, length);
    into.set(bytesOf(joined), at);
    return at + sizeBytes;
  };
  return { sizeBytes, write };
}

function joinNumbers(arrays: readonly NumberColumn[], length: number): NumberColumn {
  const joined = new (arrays[0]!.constructor as new (length: number) => Uint8Array)(length);
  let at = 0;
  for (const array of arrays) {
    joined.set(array as Uint8Array, at);
    at += array.length;
  }
  return joined;
}

/** Data of a column of 32-byte strings. */
export function fixedStringData(strings: readonly Uint8Array[]): ColumnData {
  const sizeBytes = strings.reduce((sum, { length }) => sum + length, 0);
  const write = (into: Uint8Array, from: number): number => {
    let at = from;
    for (const string of strings) {
      into.set(string, at);
      at += string.length;
    }
    return at;
  };
  return { sizeBytes, write };
}

function bytesOf({ buffer, byteOffset, byteLength }: NumberColumn): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/**
 * Data of a LowCardinality(String) column: one dictionary for all parts, their codes moved over to it. It holds the
 * texts that rows have, in the order of the rows, whatever else stands in the dictionaries of the parts.
 */
export function lowCardinalityData(parts: readonly TextColumn[]): ColumnData {
  const dictionary = createDictionary();
  const indexes = new Uint32Array(parts.reduce((sum, { codes }) => sum + codes.length, 0));
  let at = 0;
  for (const { dict, codes } of parts) {
    if (dict.length === 1) indexes.fill(dictionary.codeOf(dict[0]!), at, at + codes.length);
    else moveCodes(indexes, at, codes, dict, dictionary.codeOf);
    at += codes.length;
  }
  return dictionaryData(dictionary.texts, indexes);
}

/** Data of a LowCardinality(String) column whose texts stay the same for runs of rows. */
export function runsData(texts: readonly Uint8Array[], lengths: readonly number[]): ColumnData {
  const dictionary = createDictionary();
  const indexes = new Uint32Array(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  texts.forEach((text, run) => {
    indexes.fill(dictionary.codeOf(text), at, at + lengths[run]!);
    at += lengths[run]!;
  });
  return dictionaryData(dictionary.texts, indexes);
}

const UNKNOWN = -1;

function moveCodes(
  indexes: Uint32Array,
  at: number,
  codes: Codes,
  dict: readonly Uint8Array[],
  codeOf: (text: Uint8Array) => number,
): void {
  const moved = new Int32Array(dict.length).fill(UNKNOWN);
  for (let row = 0; row < codes.length; row++) {
    const code = codes[row]!;
    if (moved[code] === UNKNOWN) moved[code] = codeOf(dict[code]!);
    indexes[at + row] = moved[code]!;
  }
}

function dictionaryData(keys: readonly Uint8Array[], wide: Uint32Array): ColumnData {
  const indexes = makeCodes(wide.length, keys.length);
  indexes.set(wide);
  let sizeBytes = 4 * U64_BYTES + indexes.byteLength;
  for (const key of keys) sizeBytes += stringBytes(key.length);
  const write = (into: Uint8Array, from: number): number => {
    const width = BigInt(Math.log2(indexes.BYTES_PER_ELEMENT));
    const head = BigUint64Array.of(1n, width | BigInt(HAS_ADDITIONAL_KEYS), BigInt(keys.length));
    into.set(bytesOf(head), from);
    let at = from + head.byteLength;
    for (const key of keys) at = writeString(into, at, key);
    into.set(bytesOf(BigUint64Array.of(BigInt(indexes.length))), at);
    at += U64_BYTES;
    into.set(bytesOf(indexes), at);
    return at + indexes.byteLength;
  };
  return { sizeBytes, write };
}

/** Data of a String column. */
export function stringData(parts: readonly TextColumn[]): ColumnData {
  let sizeBytes = 0;
  for (const { dict, codes } of parts) {
    if (dict.length === 1) sizeBytes += codes.length * stringBytes(dict[0]!.length);
    else for (let row = 0; row < codes.length; row++) sizeBytes += stringBytes(dict[codes[row]!]!.length);
  }
  const write = (into: Uint8Array, from: number): number => {
    let at = from;
    for (const { dict, codes } of parts) {
      for (let row = 0; row < codes.length; row++) at = writeString(into, at, dict[codes[row]!]!);
    }
    return at;
  };
  return { sizeBytes, write };
}

/** Bytes of a string of this length with its length before it. */
function stringBytes(length: number): number {
  let sizeBytes = length + 1;
  for (let rest = length >>> 7; rest > 0; rest >>>= 7) sizeBytes += 1;
  return sizeBytes;
}

/** Below this a loop is faster than a call into the engine's copy. */
const SHORT_BYTES = 32;

function writeString(into: Uint8Array, from: number, bytes: Uint8Array): number {
  const { length } = bytes;
  const at = writeVaruint(into, from, length);
  if (length < SHORT_BYTES) for (let index = 0; index < length; index++) into[at + index] = bytes[index]!;
  else into.set(bytes, at);
  return at + length;
}

/** LEB128, as ClickHouse's writeVarUInt. Values below 2^31. */
function writeVaruint(into: Uint8Array, from: number, value: number): number {
  let at = from;
  let rest = value;
  while (rest >= 0x80) {
    into[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  into[at++] = rest;
  return at;
}
