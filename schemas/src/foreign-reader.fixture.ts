/** Reads messages with other CBOR libraries, by `bintrail.cddl` alone: nothing of our own decoder is used. */
import { readFileSync } from 'node:fs';
import { Decoder } from 'cbor-x';
import { decode, Tagged } from 'cborg';
import type { EventDefinition, Field } from './field.ts';

type Value = number | bigint | string;
export type ForeignMessage = {
  readonly header: Readonly<Record<string, unknown>>;
  readonly rows: Record<string, Value>[];
};

const HEADER_KEYS = ['v', 'type', 'node', 'boot', 'probe_epoch', 'batch_seq', 'rows'];

/** The keys of an event's columns as `bintrail.cddl` lists them: `? 7 => u64-column, ; ts: When it happened`. */
function publishedKeys(event: string): Map<string, number> {
  const rule = new RegExp(`^${event} = \\{$([^]*?)^\\}$`, 'm').exec(CDDL)![1]!;
  return new Map(
    Array.from(rule.matchAll(/^ {2}\? (\d+) => \S+, ; (\w+): /gm), ([, key, name]) => [name!, Number(key)]),
  );
}

const CDDL = readFileSync(new URL('../bintrail.cddl', import.meta.url), 'utf8');

// RFC 8746 §2.1: tags of little-endian typed arrays.
const ARRAYS: Record<number, (bytes: ArrayBuffer) => ArrayLike<number | bigint>> = {
  69: (bytes) => new Uint16Array(bytes),
  70: (bytes) => new Uint32Array(bytes),
  71: (bytes) => new BigUint64Array(bytes),
};

/** cborg: strict, and without any notion of typed arrays. */
export function readWithCborg(bytes: Uint8Array, definition: EventDefinition): ForeignMessage {
  const tags = Tagged.preserve(...Object.keys(ARRAYS).map(Number));
  const options = { useMaps: true, rejectDuplicateMapKeys: true, allowIndefinite: false, allowUndefined: false, tags };
  return rebuild(decode(bytes, options), definition);
}

const cborX = new Decoder({ mapsAsObjects: false, useRecords: false });

/** cbor-x: makes typed arrays of the tags by itself. */
export function readWithCborX(bytes: Uint8Array, definition: EventDefinition): ForeignMessage {
  return rebuild(cborX.decode(bytes), definition);
}

/** Rows of a message in the form cborg decodes it: maps, typed arrays as tags. */
export function rebuild(message: Map<number, unknown>, { name: event, fields }: EventDefinition): ForeignMessage {
  const rows = Array.from({ length: Number(message.get(6)) }, (): Record<string, Value> => ({}));
  const keys = publishedKeys(event);
  for (const field of fields) {
    const valueAt = columnReader(field, message.get(keys.get(field.name)!), rows.length);
    for (const [index, row] of rows.entries()) row[field.name] = valueAt(index);
  }
  const header = Object.fromEntries(HEADER_KEYS.map((name, key) => [name, message.get(key)]));
  if (header.boot instanceof Uint8Array) header.boot = uuid(header.boot);
  const published = new Set([...HEADER_KEYS.keys(), ...keys.values()]);
  for (const key of message.keys()) if (!published.has(key)) throw new Error(`${key} stands in no definition`);
  return { header, rows };
}

function uuid(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function columnReader({ kind }: Field, column: unknown, rows: number): (row: number) => Value {
  if (kind === 'digest') return (row) => digestAt(column as Uint8Array | undefined, row, rows);
  if (kind === 'text' || kind === 'bytes') return textReader(column);
  const big = kind === 'u64' || kind === 'time';
  const numberOf = (value: number | bigint) => (big ? BigInt(value) : Number(value));
  if (column === undefined) return () => numberOf(0);
  if (typeof column === 'number' || typeof column === 'bigint') return () => numberOf(column);
  const [smallest, offsets, which] = column as [number | bigint, unknown, Uint8Array | undefined];
  const numbers = arrayOf(offsets);
  return (row) => numberOf(BigInt(smallest) + BigInt(numbers[which?.[row] ?? row]!));
}

function digestAt(column: Uint8Array | undefined, row: number, rows: number): string {
  if (column === undefined) return '';
  const from = column.length === 32 * rows ? 32 * row : 0;
  const digest = latin1(column.subarray(from, from + 32));
  return digest === '\0'.repeat(32) ? '' : digest;
}

function textReader(column: unknown): (row: number) => string {
  if (column === undefined) return () => '';
  if (column instanceof Uint8Array) return () => latin1(column);
  const [dict, codes] = column as [Uint8Array[], unknown];
  const numbers = arrayOf(codes);
  return (row) => latin1(dict[Number(numbers[row])]!);
}

function arrayOf(column: unknown): ArrayLike<number | bigint> {
  if (!(column instanceof Tagged)) return column as ArrayLike<number | bigint>;
  const bytes = column.value as Uint8Array;
  return ARRAYS[Number(column.tag)]!(new Uint8Array(bytes).buffer);
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
