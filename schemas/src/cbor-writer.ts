/** Writes the closed CBOR subset of `bintrail.cddl` (RFC 8949, typed arrays of RFC 8746) into memory that grows. */
import { MAJOR } from './cbor-reader.ts';

export type Writer = { bytes: Buffer; at: number };

export function openWriter(sizeBytes: number): Writer {
  return { bytes: Buffer.allocUnsafeSlow(sizeBytes), at: 0 };
}

/** A copy of what was written since `from`. */
export function written(writer: Writer, from = 0): Uint8Array {
  return new Uint8Array(writer.bytes.subarray(from, writer.at));
}

function reserve(writer: Writer, sizeBytes: number): number {
  const from = writer.at;
  writer.at += sizeBytes;
  if (writer.at > writer.bytes.length) {
    const larger = Buffer.allocUnsafeSlow(Math.max(writer.at, 2 * writer.bytes.length));
    writer.bytes.copy(larger, 0, 0, from);
    writer.bytes = larger;
  }
  return from;
}

/** Head of an item in its shortest form (RFC 8949 §4.2.1). The argument is a whole number from 0 to 2^64 - 1. */
export function writeHead(writer: Writer, major: number, argument: number | bigint): void {
  const first = major << 5;
  if (argument < 24) {
    writer.bytes[reserve(writer, 1)] = first | Number(argument);
  } else if (argument < 0x100) {
    const at = reserve(writer, 2);
    writer.bytes[at] = first | 24;
    writer.bytes[at + 1] = Number(argument);
  } else if (argument < 0x1_0000) {
    const at = reserve(writer, 3);
    writer.bytes[at] = first | 25;
    writer.bytes.writeUInt16BE(Number(argument), at + 1);
  } else if (argument < 0x1_0000_0000) {
    const at = reserve(writer, 5);
    writer.bytes[at] = first | 26;
    writer.bytes.writeUInt32BE(Number(argument), at + 1);
  } else {
    const at = reserve(writer, 9);
    writer.bytes[at] = first | 27;
    writer.bytes.writeBigUInt64BE(BigInt(argument), at + 1);
  }
}

export function writeInteger(writer: Writer, value: number | bigint): void {
  if (value >= 0) writeHead(writer, MAJOR.uint, value);
  else writeHead(writer, MAJOR.negative, -1n - BigInt(value));
}

export function writeText(writer: Writer, text: string): void {
  writeHead(writer, MAJOR.text, Buffer.byteLength(text));
  const at = reserve(writer, Buffer.byteLength(text));
  writer.bytes.write(text, at);
}

export function writeBytes(writer: Writer, bytes: Uint8Array): void {
  writeHead(writer, MAJOR.bytes, bytes.length);
  const at = reserve(writer, bytes.length);
  writer.bytes.set(bytes, at);
}

/** Memory of this many bytes after the head of a byte string: whatever was there before is still there. */
export function writeRoom(writer: Writer, sizeBytes: number): Uint8Array {
  writeHead(writer, MAJOR.bytes, sizeBytes);
  const at = reserve(writer, sizeBytes);
  return writer.bytes.subarray(at, at + sizeBytes);
}

/** RFC 8746 §2.1: little-endian typed arrays; bytes are a plain byte string. */
const TAG_OF_WIDTH: Readonly<Record<number, number>> = { 2: 69, 4: 70, 8: 71 };

export function writeNumbers(
  writer: Writer,
  { buffer, byteOffset, byteLength }: Uint8Array | Uint16Array | Uint32Array,
  widthBytes: number,
): void {
  const tag = TAG_OF_WIDTH[widthBytes];
  if (tag !== undefined) writeHead(writer, MAJOR.tag, tag);
  writeBytes(writer, new Uint8Array(buffer, byteOffset, byteLength));
}
