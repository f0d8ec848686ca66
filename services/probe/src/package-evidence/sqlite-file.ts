/**
 * Rows of one table of an SQLite file (https://www.sqlite.org/fileformat2.html), read by our own code: the file may be
 * made by who wants to harm its reader, and SQLite itself would run what a hostile schema says, with no way to stop it.
 * No page is read twice and nothing is followed without a bound, so a file costs at most one look at each of its pages.
 */

/** A page of the file, from 1 on, `pageBytes` long; undefined beyond its end. */
export type ReadPage = (page: number) => Buffer | undefined;

export type SqliteFile = {
  readonly readPage: ReadPage;
  /** Bytes of a page that hold content. */
  readonly usableBytes: number;
};

/** One row: where it is found again, and its columns. */
export type SqliteRow = { readonly at: number; readonly columns: readonly SqliteValue[] };
/** Texts and blobs are bytes. Floats are left out as null: nobody asks for them. */
export type SqliteValue = Buffer | number | null;

/** The file says something that no SQLite writes. */
export class MalformedDatabase extends Error {
  override readonly name = 'MalformedDatabase';
}

export const HEADER_BYTES = 100;
const MAGIC = 'SQLite format 3\0';
const INTERIOR = 0x05;
const LEAF = 0x0d;
/** SQLite's own limit (BTCURSOR_MAX_DEPTH). */
const MAX_DEPTH = 20;
/** An rpm header may have 256 MiB; the largest in Fedora have 5. */
const MAX_PAYLOAD_BYTES = 32 * 2 ** 20;
const MAX_COLUMNS = 64;
/** A row's place is its page and its cell in one number. */
const CELLS = 65_536;

/** The size of this file's pages, by its first 100 bytes. Throws MalformedDatabase. */
export function pageBytesOf(header: Buffer): number {
  if (header.length < HEADER_BYTES || header.toString('latin1', 0, 16) !== MAGIC) throw new MalformedDatabase('magic');
  const stored = header.readUInt16BE(16);
  const bytes = stored === 1 ? 65_536 : stored;
  if (bytes < 512 || (bytes & (bytes - 1)) !== 0) throw new MalformedDatabase('page size');
  return bytes;
}

/** `readPage` gives pages of this size. Throws MalformedDatabase. */
export function openSqliteFile(header: Buffer, readPage: ReadPage): SqliteFile {
  const usableBytes = pageBytesOf(header) - header.readUInt8(20);
  if (usableBytes < 480) throw new MalformedDatabase('reserved bytes');
  return { readPage, usableBytes };
}

/** The first page of a table; undefined when there is none of that name. Throws MalformedDatabase. */
export function rootPageOf(file: SqliteFile, table: string): number | undefined {
  for (const { columns } of tableRows(file, 1)) {
    const [type, name, , root] = columns;
    if (textOf(type) === 'table' && textOf(name) === table && typeof root === 'number' && root > 1) return root;
  }
  return undefined;
}

function textOf(value: SqliteValue | undefined): string {
  return Buffer.isBuffer(value) ? value.toString('latin1') : '';
}

/** All rows of the table whose first page this is, in order. Throws MalformedDatabase at what is not one. */
export function* tableRows(file: SqliteFile, rootPage: number): Generator<SqliteRow> {
  const seen = new Set<number>();
  const pending = [{ page: rootPage, depth: 0 }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { page, depth } = next;
    const bytes = takePage(file, page, seen);
    const { type, cells } = cellsOf(bytes, page);
    if (type === LEAF) {
      for (const [index, cell] of cells.entries())
        yield { at: page * CELLS + index, columns: readCell(file, bytes, cell, seen) };
      continue;
    }
    if (depth === MAX_DEPTH) throw new MalformedDatabase('depth');
    const children = [...cells.map((cell) => readU32(bytes, cell)), readU32(bytes, headerAt(page) + 8)];
    for (const child of children.reverse()) pending.push({ page: child, depth: depth + 1 });
  }
}

/** The row that was found there before, if the file has not changed since. Throws MalformedDatabase. */
export function rowAt(file: SqliteFile, at: number): readonly SqliteValue[] {
  const page = Math.floor(at / CELLS);
  const seen = new Set<number>();
  const bytes = takePage(file, page, seen);
  const { type, cells } = cellsOf(bytes, page);
  const cell = cells[at % CELLS];
  if (type !== LEAF || cell === undefined) throw new MalformedDatabase('no such row');
  return readCell(file, bytes, cell, seen);
}

function takePage(file: SqliteFile, page: number, seen: Set<number>): Buffer {
  if (seen.has(page)) throw new MalformedDatabase('a page twice');
  seen.add(page);
  const bytes = page > 0 ? file.readPage(page) : undefined;
  if (bytes === undefined || bytes.length < file.usableBytes) throw new MalformedDatabase('no such page');
  return bytes.subarray(0, file.usableBytes);
}

/** The first page begins with the file's header. */
function headerAt(page: number): number {
  return page === 1 ? HEADER_BYTES : 0;
}

function cellsOf(bytes: Buffer, page: number): { type: number; cells: number[] } {
  const at = headerAt(page);
  const type = bytes.readUInt8(at);
  if (type !== LEAF && type !== INTERIOR) throw new MalformedDatabase('page type');
  const pointers = at + (type === LEAF ? 8 : 12);
  const count = bytes.readUInt16BE(at + 3);
  if (pointers + count * 2 > bytes.length) throw new MalformedDatabase('cell count');
  return { type, cells: Array.from({ length: count }, (_, index) => bytes.readUInt16BE(pointers + index * 2)) };
}

/** A leaf cell: size of the payload, row id, payload; what does not fit goes on in a chain of overflow pages. */
function readCell(file: SqliteFile, bytes: Buffer, cell: number, seen: Set<number>): SqliteValue[] {
  const size = readVarint(bytes, cell);
  const rowId = readVarint(bytes, size.end);
  if (size.value > MAX_PAYLOAD_BYTES) throw new MalformedDatabase('payload size');
  const local = localBytes(file.usableBytes, size.value);
  const end = rowId.end + local;
  if (end > bytes.length) throw new MalformedDatabase('payload beyond its page');
  const parts = [bytes.subarray(rowId.end, end)];
  let left = size.value - local;
  for (let page = left > 0 ? readU32(bytes, end) : 0; left > 0; ) {
    const overflow = takePage(file, page, seen);
    const part = overflow.subarray(4, 4 + left);
    parts.push(part);
    left -= part.length;
    page = overflow.readUInt32BE(0);
  }
  return readRecord(parts.length === 1 ? parts[0]! : Buffer.concat(parts));
}

/** How much of a payload stays on its page (section "Cell payload overflow pages" of the format). */
function localBytes(usable: number, payload: number): number {
  const most = usable - 35;
  if (payload <= most) return payload;
  const least = Math.floor(((usable - 12) * 32) / 255) - 23;
  const wanted = least + ((payload - least) % (usable - 4));
  return wanted <= most ? wanted : least;
}

function readRecord(payload: Buffer): SqliteValue[] {
  const header = readVarint(payload, 0);
  if (header.value > payload.length) throw new MalformedDatabase('record header');
  const columns: SqliteValue[] = [];
  let content = header.value;
  for (let at = header.end; at < header.value; ) {
    const serial = readVarint(payload, at);
    const length = contentBytes(serial.value);
    if (content + length > payload.length || columns.length === MAX_COLUMNS) throw new MalformedDatabase('record');
    columns.push(cellValue(payload.subarray(content, content + length), serial.value));
    content += length;
    at = serial.end;
  }
  return columns;
}

const FIXED_BYTES = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0];

function contentBytes(serialType: number): number {
  if (serialType >= 12) return (serialType - 12) >>> 1;
  const length = FIXED_BYTES[serialType];
  if (length === undefined) throw new MalformedDatabase('serial type');
  return length;
}

function cellValue(content: Buffer, serialType: number): SqliteValue {
  if (serialType >= 12) return content;
  if (serialType === 8 || serialType === 9) return serialType - 8;
  if (serialType === 6) return Number(content.readBigInt64BE(0));
  return serialType > 0 && serialType < 6 ? content.readIntBE(0, content.length) : null;
}

function readU32(bytes: Buffer, at: number): number {
  if (at + 4 > bytes.length) throw new MalformedDatabase('beyond the page');
  return bytes.readUInt32BE(at);
}

/** Up to nine bytes; only values that fit into 32 bits are taken. */
function readVarint(bytes: Buffer, at: number): { value: number; end: number } {
  let value = 0;
  for (let index = at; index < at + 8 && index < bytes.length; index++) {
    const byte = bytes[index]!;
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      if (value >= 2 ** 32) break;
      return { value, end: index + 1 };
    }
  }
  throw new MalformedDatabase('varint');
}
