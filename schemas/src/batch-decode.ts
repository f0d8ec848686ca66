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
import { type Column, DIGEST_BYTES, isTextKind, makeCodes, NUMBER_FORMATS, type TextColumn } from './column.ts';
import { type EventName, eventByName, SCHEMA_VERSION } from './events.ts';
import type { EventDefinition, Field } from './field.ts';

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
  for (let entry = HEADER_KEYS.length; entry < entries; entry++) {
    const name = readText(reader, MAX_NAME_BYTES);
    const field = fields.get(name);
    if (columns.has(name)) throw new Refusal('duplicate_key', `column ${name} stands twice`);
    if (field === undefined)
      throw new Refusal('unknown_key', `${definition.name} has no column ${JSON.stringify(name)}`);
    columns.set(name, readColumn(reader, field, rows));
  }
  if (reader.at !== reader.bytes.length) throw new Refusal('trailing_bytes', `message ends at byte ${reader.at}`);
  for (const field of definition.fields) {
    if (!columns.has(field.name)) columns.set(field.name, emptyColumn(field, rows));
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

function readColumn(reader: Reader, field: Field, rows: number): Column {
  if (field.kind === 'digest') return readTypedArray(reader, undefined, new Uint8Array(rows * DIGEST_BYTES));
  return isTextKind(field.kind) ? readTexts(reader, rows) : readNumbers(reader, field, rows);
}

function readNumbers(reader: Reader, field: Field, rows: number): Column {
  const format = NUMBER_FORMATS[field.kind as keyof typeof NUMBER_FORMATS];
  const column = format.make(rows);
  const major = peekMajor(reader);
  if (major === MAJOR.uint || major === MAJOR.negative) {
    const argument = readHead(reader, major);
    const value = major === MAJOR.uint ? argument : -1n - argument;
    checkRange(field, value);
    return column.fill((column instanceof BigUint64Array ? value : Number(value)) as never);
  }
  readTypedArray(reader, format.tag, column);
  if (field.kind === 'time') for (const value of column as BigUint64Array) checkRange(field, value);
  return column;
}

function checkRange(field: Field, value: bigint): void {
  const format = NUMBER_FORMATS[field.kind as keyof typeof NUMBER_FORMATS];
  if (value < format.min || value > format.max) throw new Refusal('out_of_range', `${field.name} = ${value}`);
}

function readTexts(reader: Reader, rows: number): TextColumn {
  if (peekMajor(reader) === MAJOR.bytes) {
    const text = readBytes(reader).slice();
    return { dict: [text], codes: new Uint8Array(rows) };
  }
  if (readCount(reader, MAJOR.map, 2) !== 2) throw new Refusal('missing_key', 'a text column has dict and codes');
  expectKey(reader, 'dict');
  const size = readCount(reader, MAJOR.array, rows);
  if (size === 0) throw new Refusal('wrong_length', 'a dictionary has at least one text');
  const dict: Uint8Array[] = [];
  for (let code = 0; code < size; code++) dict.push(readBytes(reader).slice());
  expectKey(reader, 'codes');
  const codes = makeCodes(rows, size);
  readTypedArray(reader, codes.BYTES_PER_ELEMENT === 1 ? undefined : codes.BYTES_PER_ELEMENT === 2 ? 69 : 70, codes);
  for (const code of codes) {
    if (code >= size) throw new Refusal('out_of_range', `code ${code} in a dictionary of ${size}`);
  }
  return { dict, codes };
}

function emptyColumn(field: Field, rows: number): Column {
  if (field.kind === 'digest') return new Uint8Array(rows * DIGEST_BYTES);
  if (isTextKind(field.kind)) return { dict: [new Uint8Array(0)], codes: new Uint8Array(rows) };
  return NUMBER_FORMATS[field.kind].make(rows);
}
