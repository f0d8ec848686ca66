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

/** Data of a number or FixedString column: the arrays' own bytes, one after the other. All are of one type. */
export function numberData(arrays: readonly NumberColumn[]): Uint8Array[] {
  const length = arrays.reduce((sum, array) => sum + array.length, 0);
  const joined = new (arrays[0]!.constructor as new (length: number) => Uint8Array)(length);
  let at = 0;
  for (const array of arrays) {
    joined.set(array as Uint8Array, at);
    at += array.length;
  }
  return [bytesOf(joined)];
}

function bytesOf({ buffer, byteOffset, byteLength }: NumberColumn): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Data of a LowCardinality(String) column: one dictionary for all parts, their codes moved over to it. */
export function lowCardinalityData(parts: readonly TextColumn[]): Uint8Array[] {
  const { keys, remap } = mergeDictionaries(parts);
  const rows = parts.reduce((sum, part) => sum + part.codes.length, 0);
  const indexes = makeCodes(rows, keys.length);
  let at = 0;
  let first = 0;
  for (const { dict, codes } of parts) {
    if (dict.length === 1) indexes.fill(remap[first]!, at, at + codes.length);
    else for (let row = 0; row < codes.length; row++) indexes[at + row] = remap[first + codes[row]!]!;
    at += codes.length;
    first += dict.length;
  }
  const width = BigInt(Math.log2(indexes.BYTES_PER_ELEMENT));
  const head = BigUint64Array.of(1n, width | BigInt(HAS_ADDITIONAL_KEYS), BigInt(keys.length));
  return [bytesOf(head), ...keys, bytesOf(BigUint64Array.of(BigInt(rows))), bytesOf(indexes)];
}

/** The distinct texts of all parts, and for each text of each part in turn which of them it is. */
function mergeDictionaries(parts: readonly TextColumn[]): { keys: Uint8Array[]; remap: number[] } {
  const codeOf = new Map<string, number>();
  const keys: Uint8Array[] = [];
  const remap: number[] = [];
  let last: readonly Uint8Array[] | undefined;
  for (const { dict } of parts) {
    // Most columns of small messages hold one text, and the same as in the message before.
    if (last !== undefined && dict.length === 1 && last.length === 1 && sameBytes(dict[0]!, last[0]!)) {
      remap.push(remap.at(-1)!);
      continue;
    }
    last = dict;
    for (const text of dict) {
      const key = latin1(text);
      let code = codeOf.get(key);
      if (code === undefined) {
        code = keys.length;
        codeOf.set(key, code);
        keys.push(nativeString(text));
      }
      remap.push(code);
    }
  }
  return { keys, remap };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

function latin1(text: Uint8Array): string {
  const bytes = text instanceof Buffer ? text : Buffer.from(text.buffer, text.byteOffset, text.byteLength);
  return bytes.toString('latin1');
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
