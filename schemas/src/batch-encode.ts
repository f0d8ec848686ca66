/**
 * Writes the columnar message of `bintrail.cddl`: one CBOR map with the header and one entry per column. A column that
 * is all zero or empty is left out, one whose rows are all equal is a single value, and numbers travel as what they are
 * above the smallest of them: small messages stay small.
 */
import {
  addRow,
  type BatchColumns,
  clearColumns,
  type NumberCells,
  openColumns,
  type TextCells,
} from './batch-columns.ts';
import { MAJOR } from './cbor-reader.ts';
import {
  openWriter,
  type Writer,
  writeBytes,
  writeHead,
  writeInteger,
  writeNumbers,
  writeRoom,
  writeText,
  written,
} from './cbor-writer.ts';
import { DIGEST_BYTES, NUMBER_FORMATS } from './column.ts';
import { HEADER_NAMES } from './column-keys.ts';
import { SCHEMA_VERSION } from './events.ts';
import type { EventDefinition, RowOf } from './field.ts';
import { distinctNumbers, type Range, smallestOf32, smallestOf64 } from './number-range.ts';

export type BatchHeader = {
  readonly node: string;
  readonly boot: string;
  /** Start of the probe in milliseconds since the epoch; together with `boot` it names one run of the probe. */
  readonly probeEpoch: bigint;
  /** Counts the messages of one run of the probe from 0: a repeat is dropped, a gap is a loss. */
  readonly batchSeq: number;
};

/** Limits of one message; a reader refuses more. Kafka's default message limit is 1 MiB, the probe splits at half. */
export const MAX_ROWS = 65_536;
/** Longest name in a header, in bytes of UTF-8. */
export const MAX_NAME_BYTES = 256;

/**
 * Encodes rows of one event type. Throws RangeError for no rows, too many rows, a header no reader takes, or a value
 * its kind cannot hold.
 */
export function encodeBatch<D extends EventDefinition>(
  definition: D,
  header: BatchHeader,
  rows: readonly RowOf<D>[],
): Uint8Array {
  if (rows.length > MAX_ROWS) throw new RangeError(`a message holds 1 to ${MAX_ROWS} rows`);
  const columns = reusable.get(definition) ?? openColumns(definition, FIRST_ROWS);
  reusable.set(definition, columns);
  try {
    for (const row of rows) addRow(columns, row);
    return encodeColumns(columns, header, 0, rows.length);
  } finally {
    clearColumns(columns);
  }
}

/** Opening columns costs more than a message of one row. */
const reusable = new WeakMap<EventDefinition, BatchColumns>();
const FIRST_ROWS = 64;

const writer = openWriter(1024 * 1024);

/** Encodes rows [from, to). Throws RangeError for no rows, too many rows, or a header no reader takes. */
export function encodeColumns(columns: BatchColumns, header: BatchHeader, from: number, to: number): Uint8Array {
  if (to <= from || to - from > MAX_ROWS) throw new RangeError(`a message holds 1 to ${MAX_ROWS} rows`);
  checkHeader(header);
  writer.at = 0;
  const start = reserveMapHead(writer);
  writeHeader(writer, columns.definition.name, header, to - from);
  let entries = HEADER_NAMES.length;
  for (const cells of columns.numbers) if (encodeNumbers(writer, cells, from, to)) entries += 1;
  for (const cells of columns.texts) if (encodeTexts(writer, cells, from, to)) entries += 1;
  writer.bytes[start + 1] = entries;
  return written(writer, start);
}

/** A map of up to 255 entries, their count yet to be filled in. */
function reserveMapHead(into: Writer): number {
  const start = into.at;
  writeHead(into, MAJOR.map, 0xff);
  return start;
}

function checkHeader({ node, boot, probeEpoch, batchSeq }: BatchHeader): void {
  for (const name of [node, boot]) {
    if (!name.isWellFormed() || Buffer.byteLength(name) > MAX_NAME_BYTES) {
      throw new RangeError(`a name has at most ${MAX_NAME_BYTES} bytes of UTF-8: ${JSON.stringify(name)}`);
    }
  }
  if (probeEpoch < 0n || probeEpoch > NUMBER_FORMATS.u64.max) throw new RangeError(`probe_epoch = ${probeEpoch}`);
  if (!Number.isSafeInteger(batchSeq) || batchSeq < 0) throw new RangeError(`batch_seq = ${batchSeq}`);
}

/** As the kernel prints a boot's id; anything else travels as text. */
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function writeHeader(into: Writer, type: string, header: BatchHeader, rows: number): void {
  writeInteger(into, 0);
  writeInteger(into, SCHEMA_VERSION);
  writeInteger(into, 1);
  writeText(into, type);
  writeInteger(into, 2);
  writeText(into, header.node);
  writeInteger(into, 3);
  if (UUID.test(header.boot)) writeBytes(into, Buffer.from(header.boot.replaceAll('-', ''), 'hex'));
  else writeText(into, header.boot);
  writeInteger(into, 4);
  writeInteger(into, header.probeEpoch);
  writeInteger(into, 5);
  writeInteger(into, header.batchSeq);
  writeInteger(into, 6);
  writeInteger(into, rows);
}

/** False when the column is left out. */
function encodeNumbers(into: Writer, cells: NumberCells, from: number, to: number): boolean {
  const { key, wide, words } = cells;
  const range = rangeOf(cells, words, from, to);
  if (range.widthBytes === 0) {
    if (range.smallest === 0 || range.smallest === 0n) return false;
    writeInteger(into, key);
    writeInteger(into, range.smallest);
    return true;
  }
  writeInteger(into, key);
  const distinct = range.widthBytes > 1 ? distinctNumbers(words, wide, from, to) : undefined;
  if (distinct === undefined) {
    writeHead(into, MAJOR.array, 2);
    writeOffsets(into, cells, words, from, to, range);
    return true;
  }
  writeHead(into, MAJOR.array, 3);
  writeOffsets(into, cells, distinct.words, 0, distinct.count, rangeOf(cells, distinct.words, 0, distinct.count));
  writeBytes(into, distinct.codes);
  return true;
}

function rangeOf({ wide, kind }: NumberCells, words: Uint32Array, from: number, to: number): Range {
  return wide ? smallestOf64(words, from, to) : smallestOf32(words, from, to, kind === 'i32');
}

/** The smallest number, and what each of [from, to) is above it. */
function writeOffsets(
  into: Writer,
  { wide }: NumberCells,
  words: Uint32Array,
  from: number,
  to: number,
  { smallest, widthBytes }: Range,
): void {
  writeInteger(into, smallest);
  if (widthBytes === 8) writeNumbers(into, words.subarray(2 * from, 2 * to), 8);
  else {
    const low = Number(BigInt.asUintN(32, BigInt(smallest)));
    writeNumbers(into, offsetsFrom(words, from, to, wide ? 2 : 1, low, widthBytes), widthBytes);
  }
}

type Offsets = Uint8Array | Uint16Array | Uint32Array;

const offsetMemory = new ArrayBuffer(4 * MAX_ROWS);

/** What each number is above the smallest, whose lower word is `low`: less than 2^32, so the lower words tell it. */
function offsetsFrom(
  words: Uint32Array,
  from: number,
  to: number,
  stride: number,
  low: number,
  widthBytes: number,
): Offsets {
  const offsets = unsignedArray(widthBytes, to - from);
  for (let row = from; row < to; row++) offsets[row - from] = words[row * stride]! - low;
  return offsets;
}

function unsignedArray(widthBytes: number, length: number): Offsets {
  if (widthBytes === 1) return new Uint8Array(offsetMemory, 0, length);
  return widthBytes === 2 ? new Uint16Array(offsetMemory, 0, length) : new Uint32Array(offsetMemory, 0, length);
}

function encodeTexts(into: Writer, cells: TextCells, from: number, to: number): boolean {
  const used = usedTexts(cells, from, to);
  const texts = used.map((code) => cells.dict[code]!.bytes);
  if (texts.length === 1 && texts[0]!.length === 0) return false;
  writeInteger(into, cells.key);
  if (texts.length === 1) writeBytes(into, texts[0]!);
  else if (cells.field.kind === 'digest') writeDigests(into, cells, from, to);
  else writeDictionary(into, cells, used, texts, from, to);
  return true;
}

/** Codes that occur in the rows; all of them, in their order, when the rows are all there are. */
function usedTexts({ codes, dict }: TextCells, from: number, to: number): number[] {
  const used = new Uint8Array(dict.length);
  for (let row = from; row < to; row++) used[codes[row]!] = 1;
  const list: number[] = [];
  for (let code = 0; code < used.length; code++) if (used[code] === 1) list.push(code);
  return list;
}

function writeDictionary(
  into: Writer,
  { codes, dict }: TextCells,
  used: readonly number[],
  texts: readonly Uint8Array[],
  from: number,
  to: number,
): void {
  const codeOf = new Uint32Array(dict.length);
  for (const [code, old] of used.entries()) codeOf[old] = code;
  const widthBytes = texts.length <= 0x100 ? 1 : texts.length <= 0x1_0000 ? 2 : 4;
  const renamed = unsignedArray(widthBytes, to - from);
  for (let row = from; row < to; row++) renamed[row - from] = codeOf[codes[row]!]!;
  writeHead(into, MAJOR.array, 2);
  writeHead(into, MAJOR.array, texts.length);
  for (const text of texts) writeBytes(into, text);
  writeNumbers(into, renamed, widthBytes);
}

function writeDigests(into: Writer, { codes, dict }: TextCells, from: number, to: number): void {
  const column = writeRoom(into, (to - from) * DIGEST_BYTES).fill(0);
  for (let row = from; row < to; row++) column.set(dict[codes[row]!]!.bytes, (row - from) * DIGEST_BYTES);
}
