/** Reads the columnar message of `bintrail.cddl`, strictly: what is not exactly a message is refused with a reason. */
import { emptyColumn, type MakeArena, openArena } from './batch-arena.ts';
import { readColumn } from './batch-columns-read.ts';
import type { BatchHeader } from './batch-encode.ts';
import { MAX_NAME_BYTES, MAX_ROWS } from './batch-encode.ts';
import {
  MAJOR,
  openReader,
  peekMajor,
  type Reader,
  Refusal,
  type RefusalReason,
  readArgument,
  readBytes,
  readCount,
  readText,
  readTextKey,
} from './cbor-reader.ts';
import type { Column } from './column.ts';
import { columnKey, HEADER_NAMES } from './column-keys.ts';
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

/**
 * Decodes one message, of this version or the one before. Never throws for any input; the columns are copies, so the
 * input may be reused. They may share memory with those of other messages, and are not to be written to.
 */
export function decodeBatch(bytes: Uint8Array, makeArena: MakeArena = openArena): Decoded {
  try {
    return { ok: true, batch: readMessage(openReader(bytes), makeArena) };
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
    const { node, boot, probeEpoch, batchSeq } = readArgumenter(reader);
    return { node, boot, probeEpoch, batchSeq };
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

function readMessage(reader: Reader, makeArena: MakeArena): Batch {
  const entries = readCount(reader, MAJOR.map, MAX_ENTRIES);
  if (entries < HEADER_NAMES.length) throw new Refusal('missing_key', `${entries} entries, fewer than the header has`);
  const { version, definition, rows, ...header } = readArgumenter(reader);
  const columns = new Map<string, Column>();
  const fields = fieldsOf(definition);
  const arena = makeArena(definition, rows);
  for (let entry = HEADER_NAMES.length; entry < entries; entry++) {
    const key = version === 1 ? readText(reader, MAX_NAME_BYTES) : readCount(reader, MAJOR.uint, MAX_SAFE);
    const field = fields.get(key);
    if (field === undefined)
      throw new Refusal('unknown_key', `${definition.name} has no column ${JSON.stringify(key)}`);
    if (columns.has(field.name)) throw new Refusal('duplicate_key', `column ${field.name} stands twice`);
    columns.set(field.name, readColumn(reader, arena, field, rows, version));
  }
  if (reader.at !== reader.bytes.length) throw new Refusal('trailing_bytes', `message ends at byte ${reader.at}`);
  for (const field of definition.fields) {
    if (!columns.has(field.name)) columns.set(field.name, emptyColumn(field, rows));
  }
  return { ...header, type: definition.name as EventName, rows, columns };
}

const knownFields = new WeakMap<EventDefinition, ReadonlyMap<string | number, Field>>();

/** By their keys, and for messages of version 1 by their names. */
function fieldsOf(definition: EventDefinition): ReadonlyMap<string | number, Field> {
  let fields = knownFields.get(definition);
  if (fields === undefined) {
    const keyed = definition.fields.flatMap((field): [string | number, Field][] => [
      [columnKey(field.name), field],
      [field.name, field],
    ]);
    fields = new Map(keyed);
    knownFields.set(definition, fields);
  }
  return fields;
}

type Head = BatchHeader & { readonly version: number; readonly definition: EventDefinition; readonly rows: number };

/** The header comes first and in this order, so that a foreign version is refused before anything else is read. */
function readArgumenter(reader: Reader): Head {
  const named = peekMajor(reader) === MAJOR.text;
  const expectKey = (position: number) => {
    if (named) readTextKey(reader, HEADER_NAMES[position]!);
    else readNumberKey(reader, position);
  };
  expectKey(0);
  const version = Number(readArgument(reader, MAJOR.uint));
  if (version !== (named ? 1 : SCHEMA_VERSION)) throw new Refusal('unknown_version', `version ${version}`);
  expectKey(1);
  const name = readText(reader, MAX_NAME_BYTES);
  const definition = eventByName(name);
  if (definition === undefined) throw new Refusal('unknown_event', `no event is named ${JSON.stringify(name)}`);
  expectKey(2);
  const node = readText(reader, MAX_NAME_BYTES);
  expectKey(3);
  const boot = !named && peekMajor(reader) === MAJOR.bytes ? readUuid(reader) : readText(reader, MAX_NAME_BYTES);
  expectKey(4);
  const probeEpoch = BigInt(readArgument(reader, MAJOR.uint));
  expectKey(5);
  const batchSeq = readCount(reader, MAJOR.uint, MAX_SAFE);
  expectKey(6);
  const rows = readCount(reader, MAJOR.uint, MAX_ROWS);
  if (rows === 0) throw new Refusal('out_of_range', 'a message has at least one row');
  return { version, definition, node, boot, probeEpoch, batchSeq, rows };
}

function readNumberKey(reader: Reader, key: number): void {
  const found = readArgument(reader, MAJOR.uint);
  if (Number(found) !== key) throw new Refusal('missing_key', `key ${found} stands where ${key} belongs`);
}

const UUID_BYTES = 16;

function readUuid(reader: Reader): string {
  const bytes = readBytes(reader);
  if (bytes.length !== UUID_BYTES) throw new Refusal('wrong_length', `a boot id of ${bytes.length} bytes`);
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
