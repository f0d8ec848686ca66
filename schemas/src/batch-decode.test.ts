import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Encoder } from 'cbor-x';
import { decodeBatch } from './batch-decode.ts';
import { array, byteString, head, negative, raw, tagged, textString, uint } from './cbor-build.fixture.ts';
import type { RefusalReason } from './cbor-reader.ts';
import { columnKey, HEADER_NAMES } from './column-keys.ts';

type Entry = readonly [number | string, Buffer];

const HEADER: readonly Entry[] = [
  ['v', uint(2)],
  ['type', textString('exit')],
  ['node', textString('n')],
  ['boot', textString('b')],
  ['probe_epoch', uint(5)],
  ['batch_seq', uint(6)],
  ['rows', uint(2)],
];

const keyOf = (name: string) => {
  const position = (HEADER_NAMES as readonly string[]).indexOf(name);
  return position < 0 ? columnKey(name) : position;
};
/** A map whose keys are numbers: those of the names, where names are given. */
const map = (entries: readonly Entry[]): Buffer =>
  Buffer.concat([
    head(5, entries.length),
    ...entries.flatMap(([key, value]) => [uint(typeof key === 'string' ? keyOf(key) : key), value]),
  ]);

/** A message of two exits with these columns. */
const message = (...columns: readonly Entry[]): Buffer => map([...HEADER, ...columns]);
/** A message whose header has another value for one key. */
const withHeader = (key: string, value: Buffer): Buffer =>
  map(HEADER.map((entry): Entry => (entry[0] === key ? [key, value] : entry)));

const textColumn = (dict: Buffer, codes: Buffer): Buffer => array([dict, codes]);
const offsets = (smallest: Buffer, above: Buffer): Buffer => array([smallest, above]);
const words = (...texts: readonly string[]): Buffer => array(texts.map((text) => byteString(Buffer.from(text))));

function reasonOf(bytes: Uint8Array): RefusalReason {
  const result = decodeBatch(bytes);
  assert.equal(result.ok, false, 'the message was taken');
  return (result as { reason: RefusalReason }).reason;
}

/** A message of two digests whose column of digests has this many bytes. */
const digests = (sizeBytes: number): Buffer =>
  map([
    ...HEADER.map((entry): Entry => (entry[0] === 'type' ? ['type', textString('digest')] : entry)),
    ['sha256', byteString(Buffer.alloc(sizeBytes, 7))],
  ]);

const accepted: Record<string, Buffer> = {
  'no columns at all': message(),
  'single values': message(['pid', uint(7)], ['ts', uint(1n << 62n)], ['workload', byteString(Buffer.from('w'))]),
  'typed arrays': message(
    ['pid', offsets(uint(0), tagged(70, raw(Uint32Array.of(1, 2))))],
    ['start_ns', offsets(uint(0), tagged(71, raw(BigUint64Array.of(1n, 2n))))],
  ),
  dictionaries: message(['workload', textColumn(words('a', 'b'), byteString(Buffer.of(1, 0)))]),
  'one digest for all rows': digests(32),
  'a digest for each row': digests(64),
  'a boot id as bytes': withHeader('boot', byteString(Buffer.alloc(16))),
  'different numbers, and which': message(
    ['pid', array([uint(5), byteString(Buffer.of(0, 9)), byteString(Buffer.of(1, 0))])],
    ['ts', array([uint(0), tagged(71, raw(BigUint64Array.of(7n))), byteString(Buffer.of(0, 0))])],
  ),
  'narrow offsets': message(['start_ns', offsets(uint(1n << 40n), byteString(Buffer.of(0, 255)))]),
  'offsets up to the last of a kind': message(['pid', offsets(uint(2 ** 32 - 2), byteString(Buffer.of(0, 1)))]),
  'counts in a wider form than needed': withHeader('rows', head(0, 2, 8)),
};

const refused: Record<RefusalReason, Record<string, Buffer>> = {
  truncated: {
    nothing: Buffer.alloc(0),
    'a length beyond the end': message(['workload', head(2, 100)]),
    'a length of 2^64 - 1': message(['workload', head(2, (1n << 64n) - 1n)]).subarray(0, -1),
    'fewer entries than announced': Buffer.concat([head(5, HEADER.length + 1), message().subarray(1)]),
  },
  trailing_bytes: {
    'one byte': Buffer.concat([message(), Buffer.of(0)]),
    'a second message': Buffer.concat([message(), message()]),
  },
  wrong_type: {
    'an array': array([uint(1)]),
    'a number': uint(1),
    null: Buffer.of(0xf6),
    'a key that is text': Buffer.concat([head(5, 8), message().subarray(1), textString('pid'), uint(1)]),
    'a key below zero': Buffer.concat([head(5, 8), message().subarray(1), negative(-8), uint(1)]),
    'a float count': withHeader('rows', Buffer.of(0xfb, 0x40, 0, 0, 0, 0, 0, 0, 0)),
    'a float column': message(['pid', Buffer.of(0xf9, 0x3c, 0x00)]),
    'numbers for offsets': message(['pid', array([uint(1), uint(2)])]),
    'text for bytes': message(['workload', textString('w')]),
    'text in a dictionary': message(['workload', textColumn(array([textString('w')]), byteString(Buffer.of(0, 0)))]),
    'bytes for a name': withHeader('node', byteString(Buffer.from('n'))),
    'a negative number for an epoch': withHeader('probe_epoch', negative(-1)),
    'bytes for numbers': message(['pid', raw(Uint32Array.of(1, 2))]),
    'a typed array by itself': message(['pid', tagged(70, raw(Uint32Array.of(1, 2)))]),
    'a smallest number that is text': message(['pid', offsets(textString('1'), byteString(Buffer.of(0, 1)))]),
    'a map for a column': message(['workload', Buffer.concat([head(5, 0)])]),
  },
  indefinite_length: {
    'a map': Buffer.concat([Buffer.of(0xbf), message().subarray(1), Buffer.of(0xff)]),
    'a byte string': message(['workload', Buffer.of(0x5f, 0x41, 0x61, 0xff)]),
    'a text string': withHeader('node', Buffer.of(0x7f, 0x61, 0x61, 0xff)),
    'a dictionary': message(['workload', textColumn(Buffer.of(0x9f, 0x41, 0x61, 0xff), byteString(Buffer.of(0, 0)))]),
    'a reserved length code': Buffer.of(0xbc),
  },
  unknown_version: {
    'the next one': withHeader('v', uint(3)),
    'the one before, by numbers': withHeader('v', uint(1)),
    none: withHeader('v', uint(0)),
  },
  unknown_event: {
    'another name': withHeader('type', textString('exec2')),
    'a name every object has': withHeader('type', textString('constructor')),
    'the prototype': withHeader('type', textString('__proto__')),
  },
  unknown_key: {
    'no column at all': message([250, uint(1)]),
    'a column of another event': message(['sha256', byteString(Buffer.alloc(64))]),
    'a header key among the columns': message(['node', textString('n')]),
  },
  duplicate_key: { 'a column twice': message(['pid', uint(1)], ['pid', uint(1)]) },
  missing_key: {
    'an empty map': map([]),
    'a header key left out': map(HEADER.slice(1)),
    'header keys in another order': map([...HEADER].reverse()),
    'a header key twice': map([HEADER[0]!, ...HEADER.slice(0, 6)]),
    'a dictionary without codes': message(['workload', array([words('a')])]),
  },
  wrong_tag: {
    'a big-endian array': message(['pid', offsets(uint(0), tagged(66, raw(Uint32Array.of(1, 2))))]),
    'a clamped array': message(['pid', offsets(uint(0), tagged(68, raw(Uint32Array.of(1, 2))))]),
    'signed for unsigned': message(['pid', offsets(uint(0), tagged(78, raw(Int32Array.of(1, 2))))]),
    'a record of cbor-x': message(['pid', offsets(uint(0), tagged(0xd9df, array([uint(1)])))]),
    'a map tag': message(['pid', offsets(uint(0), tagged(259, map([])))]),
    'a bignum': message(['start_ns', offsets(uint(0), tagged(2, byteString(Buffer.of(1))))]),
    'offsets wider than the number': message(['pid', offsets(uint(0), tagged(71, raw(BigUint64Array.of(0n, 1n))))]),
  },
  wrong_length: {
    'fewer numbers than rows': message(['pid', offsets(uint(0), tagged(70, raw(Uint32Array.of(1))))]),
    'more numbers than rows': message(['pid', offsets(uint(0), tagged(70, raw(Uint32Array.of(1, 2, 3))))]),
    'no whole number of elements': message(['pid', offsets(uint(0), tagged(70, byteString(Buffer.alloc(7))))]),
    'fewer codes than rows': message(['workload', textColumn(words('a', 'b'), byteString(Buffer.of(1)))]),
    'wider codes than the dictionary needs': message([
      'workload',
      textColumn(words('a', 'b'), byteString(Buffer.alloc(4))),
    ]),
    'no different numbers': message(['pid', array([uint(1), byteString(Buffer.of()), byteString(Buffer.of(0, 0))])]),
    'more different numbers than rows': message([
      'pid',
      array([uint(1), byteString(Buffer.of(0, 1, 2)), byteString(Buffer.of(0, 0))]),
    ]),
    'fewer choices than rows': message([
      'pid',
      array([uint(1), byteString(Buffer.of(0, 1)), byteString(Buffer.of(0))]),
    ]),
    'half a different number': message([
      'pid',
      array([uint(1), tagged(69, byteString(Buffer.of(0, 1, 2))), byteString(Buffer.of(0, 0))]),
    ]),
    'a smallest number without offsets': message(['pid', array([uint(1)])]),
    'a boot id of another size': withHeader('boot', byteString(Buffer.alloc(15))),
    'digests of another size': digests(33),
    'an empty dictionary': message(['workload', textColumn(array([]), byteString(Buffer.of(0, 0)))]),
  },
  out_of_range: {
    'no rows': withHeader('rows', uint(0)),
    'more rows than a message has': withHeader('rows', uint(65_537)),
    'a sequence number no double holds': withHeader('batch_seq', uint(1n << 53n)),
    'a name too long': withHeader('node', textString('n'.repeat(257))),
    'a number beyond its kind': message(['pid', uint(1n << 32n)]),
    'a negative number where none is': message(['pid', negative(-1)]),
    'a time beyond 2262': message(['ts', uint(1n << 63n)]),
    'a time beyond 2262 in an array': message([
      'ts',
      offsets(uint(0), tagged(71, raw(BigUint64Array.of(0n, 1n << 63n)))),
    ]),
    'a code beyond the dictionary': message(['workload', textColumn(words('a', 'b'), byteString(Buffer.of(0, 2)))]),
    'a dictionary larger than the rows': message([
      'workload',
      textColumn(words('a', 'b', 'c'), byteString(Buffer.of(0, 1))),
    ]),
    'a choice beyond the different numbers': message([
      'pid',
      array([uint(1), byteString(Buffer.of(0, 1)), byteString(Buffer.of(0, 2))]),
    ]),
    'a different number beyond 2262': message([
      'ts',
      array([uint(0), tagged(71, raw(BigUint64Array.of(1n << 63n))), byteString(Buffer.of(0, 0))]),
    ]),
    'offsets that lead beyond the kind': message(['pid', offsets(uint(2 ** 32 - 2), byteString(Buffer.of(0, 2)))]),
    'offsets that lead beyond 64 bits': message([
      'start_ns',
      offsets(uint((1n << 64n) - 2n), byteString(Buffer.of(0, 2))),
    ]),
    'a time that offsets lead beyond 2262': message([
      'ts',
      offsets(uint((1n << 63n) - 1n), byteString(Buffer.of(0, 1))),
    ]),
    'wide offsets from more than zero': message([
      'start_ns',
      offsets(uint(1), tagged(71, raw(BigUint64Array.of(0n, 1n)))),
    ]),
    'a smallest number below zero': message(['pid', offsets(negative(-1), byteString(Buffer.of(1, 2)))]),
    'more entries than any event': head(5, 1001),
  },
};

describe('decodeBatch', () => {
  for (const [what, bytes] of Object.entries(accepted)) {
    it(`takes ${what}`, () => assert.equal(decodeBatch(bytes).ok, true));
  }

  for (const [reason, cases] of Object.entries(refused)) {
    for (const [what, bytes] of Object.entries(cases)) {
      it(`refuses ${what} as ${reason}`, () => assert.equal(reasonOf(bytes), reason));
    }
  }

  it('refuses what cbor-x writes with its own extensions', () => {
    const row = { v: 1, type: 'exit' };
    for (const options of [{ useRecords: true }, { structuredClone: true }, { bundleStrings: true }]) {
      reasonOf(new Encoder(options).encode([row, row]));
      reasonOf(new Encoder(options).encode(row));
    }
  });

  it('refuses a hundred thousand nested arrays, maps and tags wherever they stand', () => {
    for (const opener of [0x81, 0xa1, 0xc1, 0xd8]) {
      const nested = Buffer.alloc(100_000, opener);
      reasonOf(nested);
      reasonOf(withHeader('node', nested));
      reasonOf(message(['pid', nested]));
      reasonOf(message(['workload', nested]));
      reasonOf(message(['workload', textColumn(nested, nested)]));
    }
  });

  it('claims no memory for what is not there', () => {
    const huge = withHeader('rows', uint(65_536));
    assert.equal(decodeBatch(huge).ok, true);
    assert.equal(reasonOf(message(['workload', array([head(4, 2 ** 32 - 1), uint(1)])])), 'out_of_range');
    assert.equal(reasonOf(message(['workload', head(2, 2 ** 40)])), 'truncated');
  });
});
