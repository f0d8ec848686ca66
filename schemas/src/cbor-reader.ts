/**
 * A reader of the closed CBOR subset that `bintrail.cddl` uses (RFC 8949, typed arrays of RFC 8746): definite lengths
 * only, no floats, no records, no nesting to recurse into. A general decoder accepts far more, and dies on deep input.
 */
import type { NumberColumn } from './column.ts';

/** Why bytes are not a message. The words are what dead letters carry. */
export type RefusalReason =
  | 'truncated'
  | 'trailing_bytes'
  | 'wrong_type'
  | 'indefinite_length'
  | 'unknown_version'
  | 'unknown_event'
  | 'unknown_key'
  | 'duplicate_key'
  | 'missing_key'
  | 'wrong_tag'
  | 'wrong_length'
  | 'out_of_range';

/** Thrown inside the decoder, and turned into a value at its one entry point. */
export class Refusal extends Error {
  readonly reason: RefusalReason;
  constructor(reason: RefusalReason, detail: string) {
    super(detail);
    this.reason = reason;
  }
}

/** CBOR major types, RFC 8949 §3.1. */
export const MAJOR = { uint: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6 } as const;

export type Reader = { readonly bytes: Uint8Array; readonly copy: Buffer; readonly view: DataView; at: number };

export function openReader(bytes: Uint8Array): Reader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { bytes, copy: Buffer.from(bytes), view, at: 0 };
}

/** Major type of the next item, without reading it. */
export function peekMajor(reader: Reader): number {
  if (reader.at >= reader.bytes.length) throw new Refusal('truncated', `nothing at byte ${reader.at}`);
  return reader.bytes[reader.at]! >> 5;
}

/** Reads an item head that must be of this major type, and returns its argument: a bigint where it takes 8 bytes. */
export function readArgument(reader: Reader, major: number): number | bigint {
  const found = peekMajor(reader);
  if (found !== major) throw new Refusal('wrong_type', `major type ${found}, not ${major}, at byte ${reader.at}`);
  const info = reader.bytes[reader.at]! & 0x1f;
  reader.at += 1;
  if (info < 24) return info;
  if (info > 27) throw new Refusal('indefinite_length', `length code ${info} before byte ${reader.at}`);
  const size = 1 << (info - 24);
  const at = advance(reader, size);
  if (size === 1) return reader.bytes[at]!;
  if (size === 2) return reader.view.getUint16(at);
  return size === 4 ? reader.view.getUint32(at) : reader.view.getBigUint64(at);
}

/** The same, always as a bigint. */
export function readHead(reader: Reader, major: number): bigint {
  return BigInt(readArgument(reader, major));
}

/** Reads a head whose argument must not exceed `limit`. */
export function readCount(reader: Reader, major: number, limit: number): number {
  // A limit is below 2^53, and whatever is above that stays so as a number.
  const count = Number(readArgument(reader, major));
  if (count > limit) throw new Refusal('out_of_range', `${count} is over ${limit} before byte ${reader.at}`);
  return count;
}

/** Length of the byte string that comes next, without reading it. */
export function peekBytesLength(reader: Reader): number {
  const { at } = reader;
  const length = Number(readArgument(reader, MAJOR.bytes));
  reader.at = at;
  return length;
}

/** Reads a whole number of either sign. */
export function readInteger(reader: Reader): number | bigint {
  if (peekMajor(reader) === MAJOR.negative) return -1n - BigInt(readArgument(reader, MAJOR.negative));
  return readArgument(reader, MAJOR.uint);
}

/** Reads a byte string as a view of a copy of the message: one copy for all texts, and none of the input is kept. */
export function readBytes(reader: Reader): Uint8Array {
  const length = Number(readArgument(reader, MAJOR.bytes));
  const from = advance(reader, length);
  return reader.copy.subarray(from, from + length);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

export function readText(reader: Reader, limitBytes: number): string {
  const length = readCount(reader, MAJOR.text, limitBytes);
  const from = advance(reader, length);
  if (isAscii(reader.bytes, from, from + length)) return reader.copy.toString('latin1', from, from + length);
  try {
    return utf8.decode(reader.bytes.subarray(from, from + length));
  } catch {
    throw new Refusal('wrong_type', `text before byte ${reader.at} is not UTF-8`);
  }
}

/** Reads the key that must come next. */
export function readTextKey(reader: Reader, key: string): void {
  const found = readText(reader, 256);
  if (found !== key) throw new Refusal('missing_key', `${JSON.stringify(found)} stands where ${key} belongs`);
}

/** Names are, nearly all of them, and a TextDecoder costs more than all else of a small message. */
function isAscii(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at]! >= 0x80) return false;
  return true;
}

/** Reads a typed array of exactly this many elements into an aligned copy. */
export function readTypedArray<T extends NumberColumn>(reader: Reader, tag: number | undefined, into: T): T {
  if (tag !== undefined) {
    const found = Number(readArgument(reader, MAJOR.tag));
    if (found !== tag) throw new Refusal('wrong_tag', `tag ${found}, not ${tag}, before byte ${reader.at}`);
  }
  const length = Number(readArgument(reader, MAJOR.bytes));
  const from = advance(reader, length);
  if (length !== into.byteLength) {
    throw new Refusal('wrong_length', `${length} bytes, not ${into.byteLength}, before byte ${reader.at}`);
  }
  new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(reader.bytes.subarray(from, from + length));
  return into;
}

function advance(reader: Reader, length: number): number {
  const from = reader.at;
  if (length > reader.bytes.length - from) throw new Refusal('truncated', `${length} bytes wanted at byte ${from}`);
  reader.at += length;
  return from;
}
