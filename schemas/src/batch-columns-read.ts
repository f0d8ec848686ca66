/** Columns of a message: the forms of `bintrail.cddl`, and those of version 1, which had names and no offsets. */
import { type Arena, takeBytes, takeCodes, takeNumbers, zeroCodes } from './batch-arena.ts';
import {
  MAJOR,
  peekBytesLength,
  peekMajor,
  type Reader,
  Refusal,
  readArgument,
  readBytes,
  readCount,
  readInteger,
  readTextKey,
  readTypedArray,
} from './cbor-reader.ts';
import {
  type Codes,
  type Column,
  DIGEST_BYTES,
  isTextKind,
  NUMBER_FORMATS,
  type NumberColumn,
  type NumberKind,
  type TextColumn,
} from './column.ts';
import type { Field } from './field.ts';

/** `rows` values of a field, in the form that the message's version has. */
export function readColumn(reader: Reader, arena: Arena, field: Field, rows: number, version: number): Column {
  if (field.kind === 'digest') return readDigests(reader, arena, rows, version);
  if (isTextKind(field.kind)) return readTexts(reader, arena, rows, version);
  const column = takeNumbers(arena, field.kind, rows);
  const major = peekMajor(reader);
  if (major === MAJOR.uint || major === MAJOR.negative) return fill(reader, field, column);
  if (version === 1) readTypedArray(reader, NUMBER_FORMATS[field.kind].tag, column);
  else readArray(reader, field, column);
  if (field.kind === 'time') checkTimes(field, column as BigUint64Array);
  return column;
}

function fill(reader: Reader, field: Field, column: NumberColumn): NumberColumn {
  const value = readBase(reader, field);
  return column.fill((column instanceof BigUint64Array ? BigInt(value) : Number(value)) as never);
}

function readBase(reader: Reader, { name, kind }: Field): number | bigint {
  const value = readInteger(reader);
  const { min, max, sizeBytes } = NUMBER_FORMATS[kind as NumberKind];
  // What did not take 8 bytes fits what has 8, and comparing it with a bigint would cost more than reading it.
  if (typeof value === 'number' && sizeBytes === 8) return value;
  if (value < min || value > max) throw new Refusal('out_of_range', `${name} = ${value}`);
  return value;
}

/** [smallest, what each number is above it], or the same for the different numbers, and for each row which it has. */
function readArray(reader: Reader, field: Field, column: NumberColumn): void {
  const parts = readCount(reader, MAJOR.array, 3);
  if (parts < 2) throw new Refusal('wrong_length', 'numbers are a smallest and offsets');
  const base = readBase(reader, field);
  const widthBytes = readWidth(reader);
  if (parts === 2) addTo(reader, field, base, widthBytes, column);
  else readDistinct(reader, field, base, widthBytes, column);
}

function readDistinct(
  reader: Reader,
  field: Field,
  base: number | bigint,
  widthBytes: Width,
  column: NumberColumn,
): void {
  const count = peekBytesLength(reader) / widthBytes;
  if (!Number.isInteger(count) || count === 0 || count > Math.min(MAX_DISTINCT, column.length)) {
    throw new Refusal('wrong_length', `${count} different numbers of ${field.name}`);
  }
  const distinct = NUMBER_FORMATS[field.kind as NumberKind].make(count);
  addTo(reader, field, base, widthBytes, distinct);
  const codes = readTypedArray(reader, undefined, new Uint8Array(scratch, 0, column.length));
  checkCodes(codes, count);
  spread(distinct, codes, column);
}

const MAX_DISTINCT = 256;

/** In words: a bigint for each number would cost more than all else of a message. */
function spread(distinct: NumberColumn, codes: Uint8Array, column: NumberColumn): void {
  if (!(column instanceof BigUint64Array)) {
    for (let row = 0; row < codes.length; row++) column[row] = distinct[codes[row]!] as number;
    return;
  }
  const from = new Uint32Array(distinct.buffer, distinct.byteOffset, 2 * distinct.length);
  const to = new Uint32Array(column.buffer, column.byteOffset, 2 * column.length);
  for (let row = 0; row < codes.length; row++) {
    const code = codes[row]!;
    to[2 * row] = from[2 * code]!;
    to[2 * row + 1] = from[2 * code + 1]!;
  }
}

function addTo(reader: Reader, field: Field, base: number | bigint, widthBytes: Width, column: NumberColumn): void {
  if (widthBytes > column.BYTES_PER_ELEMENT) {
    throw new Refusal('wrong_tag', `${widthBytes} bytes a number for ${field.name}`);
  }
  const asTheyAre = Number(base) === 0 && widthBytes === column.BYTES_PER_ELEMENT && field.kind !== 'i32';
  if (asTheyAre) readTypedArray(reader, undefined, column);
  else if (widthBytes === 8) throw new Refusal('out_of_range', `${field.name} has offsets of 8 bytes from ${base}`);
  else addOffsets(field, BigInt(base), offsetsOf(reader, widthBytes, column.length), column);
}

type Width = 1 | 2 | 4 | 8;

const WIDTHS: Readonly<Record<number, 2 | 4 | 8>> = { 69: 2, 70: 4, 71: 8 };

/** Width that a typed array's tag announces; a plain byte string has one byte an element. */
function readWidth(reader: Reader): Width {
  if (peekMajor(reader) !== MAJOR.tag) return 1;
  const tag = Number(readArgument(reader, MAJOR.tag));
  const width = WIDTHS[tag];
  if (width === undefined) throw new Refusal('wrong_tag', `tag ${tag} before byte ${reader.at}`);
  return width;
}

type Offsets = Uint8Array | Uint16Array | Uint32Array;

/** Overwritten by the next column. Holds the widest offsets of the longest column (MAX_ROWS). */
const scratch = new ArrayBuffer(4 * 65_536);

function offsetsOf(reader: Reader, widthBytes: 1 | 2 | 4, rows: number): Offsets {
  if (widthBytes === 1) return readTypedArray(reader, undefined, new Uint8Array(scratch, 0, rows));
  if (widthBytes === 2) return readTypedArray(reader, undefined, new Uint16Array(scratch, 0, rows));
  return readTypedArray(reader, undefined, new Uint32Array(scratch, 0, rows));
}

function addOffsets({ name, kind }: Field, base: bigint, offsets: Offsets, column: NumberColumn): void {
  const largest = column instanceof BigUint64Array ? addWide(base, offsets, column) : addNarrow(base, offsets, column);
  if (base + BigInt(largest) > NUMBER_FORMATS[kind as NumberKind].max) {
    throw new Refusal('out_of_range', `${name} reaches ${base + BigInt(largest)}`);
  }
}

type Narrow = Exclude<NumberColumn, BigUint64Array>;

function addNarrow(base: bigint, offsets: Offsets, column: Narrow): number {
  const smallest = Number(base);
  let largest = 0;
  for (let row = 0; row < offsets.length; row++) {
    const offset = offsets[row]!;
    if (offset > largest) largest = offset;
    column[row] = smallest + offset;
  }
  return largest;
}

/** In halves: a sum of bigints for each number would cost more than all else of a message. */
function addWide(base: bigint, offsets: Offsets, column: BigUint64Array): number {
  const words = new Uint32Array(column.buffer, column.byteOffset, 2 * column.length);
  const low = Number(base & 0xffff_ffffn);
  const high = Number(base >> 32n);
  let largest = 0;
  for (let row = 0; row < offsets.length; row++) {
    const offset = offsets[row]!;
    if (offset > largest) largest = offset;
    const sum = low + offset;
    words[2 * row] = sum;
    words[2 * row + 1] = sum > 0xffff_ffff ? high + 1 : high;
  }
  return largest;
}

/** A time beyond 2^63 - 1 has its highest bit set: the sign of the upper half, cheaper to look at than a bigint. */
function checkTimes({ name }: Field, column: BigUint64Array): void {
  const halves = new Int32Array(column.buffer, column.byteOffset, column.length * 2);
  for (let row = 0; row < column.length; row++) {
    if (halves[2 * row + 1]! < 0) throw new Refusal('out_of_range', `${name} = ${column[row]}`);
  }
}

function readDigests(reader: Reader, arena: Arena, rows: number, version: number): Uint8Array {
  const column = takeBytes(arena, rows * DIGEST_BYTES);
  if (version === 1) return readTypedArray(reader, undefined, column);
  const bytes = readBytes(reader);
  if (bytes.length === column.length) column.set(bytes);
  else if (bytes.length !== DIGEST_BYTES) throw new Refusal('wrong_length', `${bytes.length} bytes of digests`);
  else for (let row = 0; row < rows; row++) column.set(bytes, row * DIGEST_BYTES);
  return column;
}

function readTexts(reader: Reader, arena: Arena, rows: number, version: number): TextColumn {
  if (peekMajor(reader) === MAJOR.bytes) return { dict: [readBytes(reader)], codes: zeroCodes(rows) };
  const container = version === 1 ? MAJOR.map : MAJOR.array;
  if (readCount(reader, container, 2) !== 2) throw new Refusal('missing_key', 'a text column has dict and codes');
  if (version === 1) readTextKey(reader, 'dict');
  const size = readCount(reader, MAJOR.array, rows);
  if (size === 0) throw new Refusal('wrong_length', 'a dictionary has at least one text');
  const dict: Uint8Array[] = [];
  for (let code = 0; code < size; code++) dict.push(readBytes(reader));
  if (version === 1) readTextKey(reader, 'codes');
  const codes = takeCodes(arena, rows, size);
  const { tag } = NUMBER_FORMATS[codes.BYTES_PER_ELEMENT === 1 ? 'u8' : codes.BYTES_PER_ELEMENT === 2 ? 'u16' : 'u32'];
  checkCodes(readTypedArray(reader, tag, codes), size);
  return { dict, codes };
}

function checkCodes(codes: Codes, size: number): void {
  for (let row = 0; row < codes.length; row++) {
    if (codes[row]! >= size) throw new Refusal('out_of_range', `code ${codes[row]} in a dictionary of ${size}`);
  }
}
