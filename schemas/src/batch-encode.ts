/**
 * Writes the columnar message of `bintrail.cddl`: one CBOR map with the header and one entry per column. A column that
 * is all zero or empty is left out, one whose rows are all equal is a single value: small messages stay small.
 */
import { Encoder } from 'cbor-x';
import { DIGEST_BYTES, isTextKind, makeCodes, NUMBER_FORMATS } from './column.ts';
import { SCHEMA_VERSION } from './events.ts';
import type { EventDefinition, Field, RowOf } from './field.ts';

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

// Plain CBOR only: other decoders cannot read record extensions, and a mismatched structure list decodes silently wrong.
const encoder = new Encoder({ useRecords: false, variableMapSize: true, tagUint8Array: false, mapsAsObjects: false });

type Value = number | bigint | string;

/**
 * Encodes rows of one event type. Throws RangeError for no rows, too many rows, a header no reader takes, or a value
 * its kind cannot hold.
 */
export function encodeBatch<D extends EventDefinition>(
  definition: D,
  header: BatchHeader,
  rows: readonly RowOf<D>[],
): Uint8Array {
  if (rows.length === 0 || rows.length > MAX_ROWS) throw new RangeError(`a message holds 1 to ${MAX_ROWS} rows`);
  checkHeader(header);
  const message = new Map<string, unknown>([
    ['v', SCHEMA_VERSION],
    ['type', definition.name],
    ['node', header.node],
    ['boot', header.boot],
    ['probe_epoch', wireInteger(header.probeEpoch)],
    ['batch_seq', wireInteger(header.batchSeq)],
    ['rows', rows.length],
  ]);
  for (const field of definition.fields) {
    const values = rows as readonly Record<string, Value>[];
    const column = encodeColumn(field, values);
    if (column !== undefined) message.set(field.name, column);
  }
  return encoder.encode(message);
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

function encodeColumn(field: Field, rows: readonly Record<string, Value>[]): unknown {
  if (field.kind === 'digest') return encodeDigests(field.name, rows);
  return isTextKind(field.kind) ? encodeTexts(field.name, rows) : encodeNumbers(field, rows);
}

function encodeNumbers(field: Field, rows: readonly Record<string, Value>[]): unknown {
  const format = NUMBER_FORMATS[field.kind as keyof typeof NUMBER_FORMATS];
  const first = rows[0]![field.name] as number | bigint;
  let constant = true;
  for (const row of rows) {
    const value = row[field.name] as number | bigint;
    if (!isOf(format, value)) throw new RangeError(`${field.name} = ${value} is no ${field.kind}`);
    if (value !== first) constant = false;
  }
  if (constant) return Number(first) === 0 ? undefined : wireInteger(first);
  const column = format.make(rows.length);
  for (let row = 0; row < rows.length; row++) column[row] = rows[row]![field.name] as never;
  return column;
}

function isOf({ min, max }: { min: bigint; max: bigint }, value: number | bigint): boolean {
  return value >= min && value <= max && (typeof value === 'bigint' || Number.isInteger(value));
}

// The encoder writes a number above 2^32 as a float and a bigint always in 9 bytes: each where it is right.
function wireInteger(value: number | bigint): number | bigint {
  return value >= -0x8000_0000 && value <= 0xffff_ffff ? Number(value) : BigInt(value);
}

function encodeTexts(name: string, rows: readonly Record<string, Value>[]): unknown {
  const codeOf = new Map<string, number>();
  for (const row of rows) {
    const text = row[name] as string;
    if (!codeOf.has(text)) codeOf.set(text, codeOf.size);
  }
  const dict = Array.from(codeOf.keys(), (text) => latin1Bytes(name, text));
  if (dict.length === 1) return dict[0]!.length === 0 ? undefined : dict[0];
  const codes = makeCodes(rows.length, dict.length);
  for (let row = 0; row < rows.length; row++) codes[row] = codeOf.get(rows[row]![name] as string)!;
  return new Map<string, unknown>([
    ['dict', dict],
    ['codes', codes],
  ]);
}

const LATIN1 = /^[\0-\xff]*$/;

function latin1Bytes(name: string, text: string): Buffer {
  if (!LATIN1.test(text)) throw new RangeError(`${name} holds no bytes but text: ${JSON.stringify(text)}`);
  return Buffer.from(text, 'latin1');
}

function encodeDigests(name: string, rows: readonly Record<string, Value>[]): unknown {
  const column = Buffer.alloc(rows.length * DIGEST_BYTES);
  let present = false;
  for (let row = 0; row < rows.length; row++) {
    const digest = rows[row]![name] as string;
    if (digest === '') continue;
    if (digest.length !== DIGEST_BYTES) throw new RangeError(`${name} has ${digest.length} bytes, not ${DIGEST_BYTES}`);
    column.write(digest, row * DIGEST_BYTES, 'latin1');
    present = true;
  }
  return present ? column : undefined;
}
