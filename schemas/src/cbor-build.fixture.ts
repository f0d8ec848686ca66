/** CBOR written byte by byte, for tests of what an encoder would never write. RFC 8949 §3. */

/** Head of an item: major type and argument, in the given width of 0, 1, 2, 4 or 8 bytes, else the shortest. */
export function head(major: number, argument: number | bigint, widthBytes?: 0 | 1 | 2 | 4 | 8): Buffer {
  const value = BigInt(argument);
  const width =
    widthBytes ?? (value < 24n ? 0 : value < 1n << 8n ? 1 : value < 1n << 16n ? 2 : value < 1n << 32n ? 4 : 8);
  if (width === 0) return Buffer.of((major << 5) | Number(value));
  const bytes = Buffer.alloc(9);
  bytes.writeBigUInt64BE(value, 1);
  return Buffer.concat([Buffer.of((major << 5) | (24 + Math.log2(width))), bytes.subarray(9 - width)]);
}

export const uint = (value: number | bigint): Buffer => head(0, value);
export const negative = (value: number | bigint): Buffer => head(1, -1n - BigInt(value));
export const byteString = (bytes: Uint8Array): Buffer => Buffer.concat([head(2, bytes.length), bytes]);
export const textString = (text: string): Buffer =>
  Buffer.concat([head(3, Buffer.byteLength(text)), Buffer.from(text)]);
export const array = (items: readonly Buffer[]): Buffer => Buffer.concat([head(4, items.length), ...items]);
export const tagged = (tag: number, item: Buffer): Buffer => Buffer.concat([head(6, tag), item]);

/** A map in this order, doubled keys and all. */
export const map = (entries: readonly (readonly [string, Buffer])[]): Buffer =>
  Buffer.concat([head(5, entries.length), ...entries.flatMap(([key, value]) => [textString(key), value])]);

/** The bytes of a typed array, little-endian. */
export const raw = (numbers: Uint8Array | Uint16Array | Uint32Array | BigUint64Array | Int32Array): Buffer =>
  byteString(new Uint8Array(numbers.buffer));
