/** One record of the dead-letter topic: what `deadMessage` and `replayedMessage` of the runtime write. */
import type { Origin } from '@bintrail/runtime/dead.ts';
import {
  MAJOR,
  openReader,
  peekMajor,
  type Reader,
  Refusal,
  readBytes,
  readCount,
  readHead,
  readText,
} from '@bintrail/schemas/cbor-reader.ts';

export type DeadEntry = Origin & {
  readonly kind: 'dead';
  readonly stage: string;
  readonly reason: string;
  /** Earlier versions kept none. */
  readonly key: string | undefined;
  readonly bytes: Uint8Array;
};

export type ReplayedEntry = Origin & { readonly kind: 'replayed'; readonly atMs: number };

type Value = bigint | string | Uint8Array;

/** More than any version writes: what a later one adds is passed over. */
const MAX_FIELDS = 32;
const MAX_TEXT_BYTES = 64 * 1024;

/** Undefined for what is neither. Never throws: anything may stand in a topic. */
export function readEntry(value: Uint8Array): DeadEntry | ReplayedEntry | undefined {
  try {
    return toEntry(readFields(openReader(value)));
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

function toEntry(fields: ReadonlyMap<string, Value>): DeadEntry | ReplayedEntry | undefined {
  const [topic, partition, offset] = [fields.get('topic'), count(fields, 'partition'), count(fields, 'offset')];
  if (typeof topic !== 'string' || partition === undefined || offset === undefined) return undefined;
  const atMs = count(fields, 'replayed_at_ms');
  if (atMs !== undefined) return { kind: 'replayed', topic, partition, offset, atMs };
  const [stage, reason, key, bytes] = ['stage', 'reason', 'key', 'bytes'].map((name) => fields.get(name));
  if (typeof stage !== 'string' || typeof reason !== 'string' || !(bytes instanceof Uint8Array)) return undefined;
  return {
    kind: 'dead',
    topic,
    partition,
    offset,
    stage,
    reason,
    key: typeof key === 'string' ? key : undefined,
    bytes,
  };
}

function count(fields: ReadonlyMap<string, Value>, name: string): number | undefined {
  const value = fields.get(name);
  return typeof value === 'bigint' && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
}

function readFields(reader: Reader): ReadonlyMap<string, Value> {
  const fields = new Map<string, Value>();
  for (let left = readCount(reader, MAJOR.map, MAX_FIELDS); left > 0; left--) {
    fields.set(readText(reader, MAX_TEXT_BYTES), readValue(reader));
  }
  return fields;
}

function readValue(reader: Reader): Value {
  const major = peekMajor(reader);
  if (major === MAJOR.text) return readText(reader, MAX_TEXT_BYTES);
  return major === MAJOR.bytes ? readBytes(reader) : readHead(reader, MAJOR.uint);
}
