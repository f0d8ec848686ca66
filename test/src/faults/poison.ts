/** Records no stage can use, of every kind we know, each with the reason ingest must give. */
import { createCipheriv } from 'node:crypto';
import { array, byteString, head, raw, tagged, textString, uint } from '@bintrail/schemas/cbor-build.fixture.ts';
import type { RefusalReason } from '@bintrail/schemas/cbor-reader.ts';
import { columnKey, HEADER_NAMES } from '@bintrail/schemas/column-keys.ts';
import { SCHEMA_VERSION } from '@bintrail/schemas/events.ts';
import type { Finding } from '@bintrail/schemas/finding.ts';

export type Poison = { readonly name: string; readonly reason: string; readonly value: Uint8Array };

type Entry = readonly [number | string, Buffer];

const HEADER: readonly Entry[] = [
  ['v', uint(SCHEMA_VERSION)],
  ['type', textString('exit')],
  ['node', textString('poisoner')],
  ['boot', textString('boot')],
  ['probe_epoch', uint(1)],
  ['batch_seq', uint(0)],
  ['rows', uint(2)],
];

const keyOf = (name: string): number => {
  const position = (HEADER_NAMES as readonly string[]).indexOf(name);
  return position < 0 ? columnKey(name) : position;
};
const map = (entries: readonly Entry[]): Buffer =>
  Buffer.concat([
    head(5, entries.length),
    ...entries.flatMap(([key, value]) => [uint(typeof key === 'string' ? keyOf(key) : key), value]),
  ]);
const message = (...columns: readonly Entry[]): Buffer => map([...HEADER, ...columns]);
const withHeader = (key: string, value: Buffer, ...columns: readonly Entry[]): Buffer =>
  map([...HEADER.map((entry): Entry => (entry[0] === key ? [key, value] : entry)), ...columns]);
/** A column of numbers: the smallest, and by how much each row is above it. */
const numbers = (above: Buffer): Buffer => array([uint(0), above]);

/** `new Encoder({ useRecords: true }).encode([row, row])` of cbor-x 1.6.9, `row` being `{ v: 1, type: 'exit' }`. */
const RECORDS_OF_CBOR_X = Buffer.from('82d9dfff8419e0008261766474797065016465786974d9e00082016465786974', 'hex');
const NESTED = Buffer.alloc(100_000, 0x81);
const MAX_ROWS = 65_536;

/** Always the same bytes, which no bus compresses. */
function noise(sizeBytes: number): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(sizeBytes));
}

/** With it this many rows of one text stand for more than any block may hold, in a message of kilobytes. */
const LONG_TEXT = Buffer.alloc(2_048, 'x');

/** Bad messages of events; `good` is one that is none. `oversizedBytes`: larger than any plan of a stage. */
export function poisonedEvents(good: Uint8Array, oversizedBytes: number): Poison[] {
  const bad: readonly (readonly [string, RefusalReason | 'too_large', Uint8Array])[] = [
    ['nothing', 'truncated', Buffer.alloc(0)],
    ['a message cut off', 'truncated', good.subarray(0, good.length - 7)],
    ['a message cut off in its header', 'truncated', good.subarray(0, 12)],
    ['a text', 'wrong_type', Buffer.from('no message')],
    ['JSON', 'wrong_type', Buffer.from('{"v":1}')],
    ['a newer version', 'unknown_version', withHeader('v', uint(SCHEMA_VERSION + 1))],
    ['version 2^64 - 1', 'unknown_version', withHeader('v', uint(2n ** 64n - 1n))],
    ['a text of 2^63 bytes', 'truncated', message(['workload', head(2, 2n ** 63n)])],
    ['a name of 2^40 bytes', 'out_of_range', withHeader('node', head(3, 2n ** 40n))],
    ['2^32 - 1 columns', 'out_of_range', head(5, 2 ** 32 - 1)],
    ['2^32 - 1 rows', 'out_of_range', withHeader('rows', uint(2 ** 32 - 1))],
    ['a shorter column', 'wrong_length', message(['pid', numbers(tagged(70, raw(Uint32Array.of(1))))])],
    ['a longer column', 'wrong_length', message(['pid', numbers(tagged(70, raw(Uint32Array.of(1, 2, 3))))])],
    ['records of cbor-x', 'wrong_type', RECORDS_OF_CBOR_X],
    ['a column of records', 'wrong_tag', message(['pid', numbers(tagged(0xd9df, array([uint(1)])))])],
    ['a big-endian column', 'wrong_tag', message(['pid', numbers(tagged(66, raw(Uint32Array.of(1, 2))))])],
    ['100 thousand nested arrays', 'wrong_type', NESTED],
    ['a column of nested arrays', 'wrong_length', message(['pid', NESTED])],
    ['numbers that are nested arrays', 'wrong_type', message(['pid', numbers(NESTED)])],
    ['a column twice', 'duplicate_key', message(['pid', uint(1)], ['pid', uint(1)])],
    ['a header key twice', 'missing_key', map([HEADER[0]!, ...HEADER])],
    ['an event of another version', 'unknown_event', withHeader('type', textString('exec2'))],
    ['a column of another version', 'unknown_key', message([250, uint(1)])],
    ['a number beyond its kind', 'out_of_range', message(['pid', uint(2n ** 32n)])],
    ['a message and more', 'trailing_bytes', Buffer.concat([good, Buffer.of(0)])],
    ['more rows than a block holds', 'too_large', bomb()],
    ['more bytes than a plan holds', 'trailing_bytes', Buffer.concat([good, noise(oversizedBytes)])],
  ];
  return bad.map(([name, reason, value]) => ({ name, reason, value }));
}

const bomb = (): Buffer => withHeader('rows', uint(MAX_ROWS), ['workload', byteString(LONG_TEXT)]);

/** Bad findings; `good` is one that is none. */
export function poisonedFindings(good: Finding, oversizedBytes: number): Poison[] {
  const changed = (change: object): Buffer => Buffer.from(JSON.stringify({ ...good, ...change }));
  const bad: readonly (readonly [string, 'not_json' | 'not_a_finding', Uint8Array])[] = [
    ['nothing', 'not_json', Buffer.alloc(0)],
    ['a finding cut off', 'not_json', changed({}).subarray(0, -3)],
    ['no UTF-8', 'not_json', Buffer.concat([Buffer.from('"'), Buffer.of(0xff), Buffer.from('"')])],
    ['100 thousand nested arrays that never end', 'not_json', Buffer.alloc(100_000, '[')],
    ['100 thousand nested arrays', 'not_a_finding', Buffer.from('['.repeat(100_000) + ']'.repeat(100_000))],
    ['null', 'not_a_finding', Buffer.from('null')],
    ['CBOR', 'not_json', map([['v', uint(1)]])],
    ['another rule', 'not_a_finding', changed({ rule: 'constructor' })],
    ['a digest too short', 'not_a_finding', changed({ sha256: 'ab' })],
    ['a time after 2262', 'not_a_finding', changed({ ts_ns: '9223372036854775808' })],
    ['a time in words', 'not_a_finding', changed({ ts_ns: 'yesterday' })],
    ['a revision no integer', 'not_a_finding', changed({ policy_revision: 1.5 })],
    [
      'a revision beyond doubles',
      'not_a_finding',
      Buffer.from(`${changed({}).toString().slice(0, -1)},"policy_revision":1e999}`),
    ],
    ['no evidence', 'not_a_finding', changed({ evidence: null })],
    [
      'more bytes than a plan holds',
      'not_a_finding',
      changed({ path: 7, padding: noise(oversizedBytes / 2).toString('hex') }),
    ],
  ];
  return bad.map(([name, reason, value]) => ({ name, reason, value }));
}

/** What is neither a policy record nor a delivery. */
export const GARBAGE: readonly Uint8Array[] = [
  Buffer.alloc(0),
  Buffer.from('{'),
  Buffer.from('null'),
  Buffer.of(0xff, 0xfe),
  NESTED,
  Buffer.from('['.repeat(100_000) + ']'.repeat(100_000)),
  Buffer.from('{"kind":"__proto__","state":"__proto__","v":1}'),
  Buffer.from('{"kind":"approval","revision":1,"deleted":false,"approval":{}}'),
  Buffer.from('{"v":1,"state":"planned","group_id":"x"}'),
];
