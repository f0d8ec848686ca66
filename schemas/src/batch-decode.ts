/** Reads the columnar message of `bintrail.cddl`, strictly: what is not exactly a message is refused with a reason. */
import type { BatchHeader } from './batch-encode.ts';
import { MAX_NAME_BYTES, MAX_ROWS } from './batch-encode.ts';
import {
  MAJOR,
  openReader,
  peekMajor,
  type Reader,
  Refusal,
  type RefusalReason,
  readBytes,
  readCount,
  readHead,
  readText,
  readTypedArray,
} from './cbor-reader.ts';
import {
  type Column,
  DIGEST_BYTES,
  isTextKind,
  makeCodes,
  NUMBER_FORMATS,
  type NumberColumn,
  type NumberKind,
  type TextColumn,
} from './column.ts';
import { type EventName, eventByName, SCHEMA_VERSION } from './events.ts';
import type { EventDefinition, Field, Kind } from './field.ts';

/** A decoded message: every column of its event is present, defaults filled in. */
export type Batch = BatchHeader & {
  readonly type: EventName;
  readonly rows: number;
  readonly columns: ReadonlyMap<string, Column>;
};

export type Decoded =
  | { readonly ok: true; readonly batch: Batch }
  | { readonly ok: false; readonly reason: RefusalReason; readonly detail: string };

const MAX_ENTRIES = 1000;
const MAX_SAFE = Number.MAX_SAFE_INTEGER;
const HEADER_KEYS = ['v', 'type', 'node', 'boot', 'probe_epoch', 'batch_seq', 'rows'] as const;

/** Decodes one message. Never throws for any input; the columns are copies, so the input may be reused. */
export function decodeBatch(bytes: Uint8Array): Decoded {
  try {
    return { ok: true, batch: readMessage(openReader(bytes)) };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, reason: error.reason, detail: error.message };
    throw error;
  }
}

/** Reads no further than the header: who sent which message. Undefined where no message begins. */
export function peekHeader(bytes: Uint8Array): BatchHeader | undefined {
  try {
    const reader = openReader(bytes);
    readCount(reader, MAJOR.map, MAX_ENTRIES);
    const { node, boot, probeEpoch, batchSeq } = readHeader(reader);
    return { node, boot, probeEpoch, batchSeq };
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

function readMessage(reader: Reader): Batch {
  const entries = readCount(reader, MAJOR.map, MAX_ENTRIES);
  if (entries < HEADER_KEYS.length) throw new Refusal('missing_key', `${entries} entries, fewer than the header has`);
  const { definition, rows, ...header } = readHeader(reader);
  const columns = new Map<string, Column>();
  const fields = fieldsByName(definition);
  const arena = openArena(definition, rows);
  for (let entry = HEADER_KEYS.length; entry < entries; entry++) {
    const name = readText(reader, MAX_NAME_BYTES);
    const field = fields.get(name);
    if (columns.has(name)) throw new Refusal('duplicate_key', `column ${name} stands twice`);
    if (field === undefined)
      throw new Refusal('unknown_key', `${definition.name} has no column ${JSON.stringify(name)}`);
    columns.set(name, readColumn(reader, arena, field, rows));
  }
  if (reader.at !== reader.bytes.length) throw new Refusal('trailing_bytes', `message ends at byte ${reader.at}`);
  for (const field of definition.fields) {
    if (!columns.has(field.name)) columns.set(field.name, emptyColumn(arena, field, rows));
  }
  return { ...header, type: definition.name as EventName, rows, columns };
}

const knownFields = new WeakMap<EventDefinition, ReadonlyMap<string, Field>>();

function fieldsByName(definition: EventDefinition): ReadonlyMap<string, Field> {
  let fields = knownFields.get(definition);
  if (fields === undefined) {
    fields = new Map(definition.fields.map((field) => [field.name, field]));
    knownFields.set(definition, fields);
  }
  return fields;
}

/** The header comes first and in this order, so that a foreign version is refused before anything else is read. */
function readHeader(reader: Reader): BatchHeader & { definition: EventDefinition; rows: number } {
  expectKey(reader, 'v');
  const version = readHead(reader, MAJOR.uint);
  if (version !== BigInt(SCHEMA_VERSION)) throw new Refusal('unknown_version', `version ${version}`);
  expectKey(reader, 'type');
  const name = readText(reader, MAX_NAME_BYTES);
  const definition = eventByName(name);
  if (definition === undefined) throw new Refusal('unknown_event', `no event is named ${JSON.stringify(name)}`);
  expectKey(reader, 'node');
  const node = readText(reader, MAX_NAME_BYTES);
  expectKey(reader, 'boot');
  const boot = readText(reader, MAX_NAME_BYTES);
  expectKey(reader, 'probe_epoch');
  const probeEpoch = readHead(reader, MAJOR.uint);
  expectKey(reader, 'batch_seq');
  const batchSeq = readCount(reader, MAJOR.uint, MAX_SAFE);
  expectKey(reader, 'rows');
  const rows = readCount(reader, MAJOR.uint, MAX_ROWS);
  if (rows === 0) throw new Refusal('out_of_range', 'a message has at least one row');
  return { definition, node, boot, probeEpoch, batchSeq, rows };
}

function expectKey(reader: Reader, key: string): void {
  const found = readText(reader, MAX_NAME_BYTES);
  if (found !== key) throw new Refusal('missing_key', `${JSON.stringify(found)} stands where ${key} belongs`);
}

/** One piece of memory for the columns of a message: a small one would otherwise cost fifty allocations. */
type Arena = { readonly buffer: ArrayBuffer; at: number };

const ALIGNMENT = 8;

function openArena(definition: EventDefinition, rows: number): Arena {
  let sizeBytes = 0;
  for (const { kind } of definition.fields) sizeBytes += aligned(rows * widthBytes(kind));
  return { buffer: new ArrayBuffer(sizeBytes), at: 0 };
}

/** Bytes of a row; a text's is its code, which has a place of its own where one byte is not enough. */
function widthBytes(kind: Kind): number {
  if (kind === 'digest') return DIGEST_BYTES;
  return isTextKind(kind) ? 1 : NUMBER_FORMATS[kind].sizeBytes;
}

function aligned(sizeBytes: number): number {
  return Math.ceil(sizeBytes / ALIGNMENT) * ALIGNMENT;
}

function takeBytes(arena: Arena, length: number): Uint8Array<ArrayBuffer> {
  const from = arena.at;
  arena.at += aligned(length);
  return new Uint8Array(arena.buffer, from, length);
}

function takeNumbers(arena: Arena, kind: NumberKind, rows: number): NumberColumn {
  const { view, sizeBytes } = NUMBER_FORMATS[kind];
  const from = arena.at;
  arena.at += aligned(rows * sizeBytes);
  return view(arena.buffer, from, rows);
}

function readColumn(reader: Reader, arena: Arena, field: Field, rows: number): Column {
  if (field.kind === 'digest') return readTypedArray(reader, undefined, takeBytes(arena, rows * DIGEST_BYTES));
  return isTextKind(field.kind) ? readTexts(reader, arena, rows) : readNumbers(reader, arena, field, rows);
}

function readNumbers(reader: Reader, arena: Arena, field: Field, rows: number): Column {
  const kind = field.kind as NumberKind;
  const column = takeNumbers(arena, kind, rows);
  const major = peekMajor(reader);
  if (major === MAJOR.uint || major === MAJOR.negative) {
    const argument = readHead(reader, major);
    const value = major === MAJOR.uint ? argument : -1n - argument;
    const { min, max } = NUMBER_FORMATS[kind];
    if (value < min || value > max) throw new Refusal('out_of_range', `${field.name} = ${value}`);
    return column.fill((column instanceof BigUint64Array ? value : Number(value)) as never);
  }
  readTypedArray(reader, NUMBER_FORMATS[kind].tag, column);
  if (kind === 'time') checkTimes(field, column as BigUint64Array);
  return column;
}

/** A time beyond 2^63 - 1 has its highest bit set: the sign of the upper half, cheaper to look at than a bigint. */
function checkTimes({ name }: Field, column: BigUint64Array): void {
  const halves = new Int32Array(column.buffer, column.byteOffset, column.length * 2);
  for (let row = 0; row < column.length; row++) {
    if (halves[2 * row + 1]! < 0) throw new Refusal('out_of_range', `${name} = ${column[row]}`);
  }
}

function readTexts(reader: Reader, arena: Arena, rows: number): TextColumn {
  if (peekMajor(reader) === MAJOR.bytes) return { dict: [readBytes(reader)], codes: takeBytes(arena, rows) };
  if (readCount(reader, MAJOR.map, 2) !== 2) throw new Refusal('missing_key', 'a text column has dict and codes');
  expectKey(reader, 'dict');
  const size = readCount(reader, MAJOR.array, rows);
  if (size === 0) throw new Refusal('wrong_length', 'a dictionary has at least one text');
  const dict: Uint8Array[] = [];
  for (let code = 0; code < size; code++) dict.push(readBytes(reader));
  expectKey(reader, 'codes');
  const codes = size <= 0x100 ? takeBytes(arena, rows) : makeCodes(rows, size);
  readTypedArray(reader, codes.BYTES_PER_ELEMENT === 1 ? undefined : codes.BYTES_PER_ELEMENT === 2 ? 69 : 70, codes);
  for (let row = 0; row < rows; row++) {
    if (codes[row]! >= size) throw new Refusal('out_of_range', `code ${codes[row]} in a dictionary of ${size}`);
  }
  return { dict, codes };
}

const NO_TEXT: readonly Uint8Array[] = [Buffer.alloc(0)];

function emptyColumn(arena: Arena, field: Field, rows: number): Column {
  if (field.kind === 'digest') return takeBytes(arena, rows * DIGEST_BYTES);
  if (isTextKind(field.kind)) return { dict: NO_TEXT, codes: takeBytes(arena, rows) };
  return takeNumbers(arena, field.kind, rows);
}
