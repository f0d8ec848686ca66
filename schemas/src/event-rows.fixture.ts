/** Random rows and messages for property tests, and rows read back out of a decoded message. */
import fc from 'fast-check';
import type { Batch } from './batch-decode.ts';
import type { BatchHeader } from './batch-encode.ts';
import { isTextKind, NUMBER_FORMATS } from './column.ts';
import { eventByName } from './events.ts';
import type { EventDefinition, Field, RowOf } from './field.ts';
import type { RecordDefinition } from './layout.ts';
import { bigAt, digestAt, numberAt, textAt } from './row.ts';

type AnyRow = RowOf<EventDefinition>;
type Value = number | bigint | string;

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array).toString('latin1'));

// Few distinct values make dictionaries and constant columns, many make wide codes.
const text = fc.oneof({ weight: 2, arbitrary: fc.constantFrom('', '/usr/bin/true', '\xff\xfe', 'a\0b') }, bytes(40));
const digest = fc.oneof(
  fc.constantFrom('', '\x01'.repeat(32), '\xff'.repeat(32)),
  fc.uint8Array({ minLength: 32, maxLength: 32 }).map((array) => {
    const digits = Buffer.from(array).toString('latin1');
    return digits === '\0'.repeat(32) ? '' : digits;
  }),
);

function valueArbitrary({ kind }: Field): fc.Arbitrary<Value> {
  if (kind === 'digest') return digest;
  if (isTextKind(kind)) return text;
  const { min, max, sizeBytes } = NUMBER_FORMATS[kind];
  const value = fc.oneof(fc.constantFrom(min, max, 0n), fc.bigInt({ min, max }));
  return sizeBytes === 8 ? value : value.map(Number);
}

/** A row of zeros and empty texts, but for the facts given. */
export function blankRow<D extends RecordDefinition>(definition: D, facts: Partial<RowOf<D>> = {}): RowOf<D> {
  const zero = ({ kind }: Field): Value => {
    if (isTextKind(kind) || kind === 'digest') return '';
    return NUMBER_FORMATS[kind].sizeBytes === 8 ? 0n : 0;
  };
  const blank = Object.fromEntries(definition.fields.map((field) => [field.name, zero(field)]));
  return { ...blank, ...facts } as RowOf<D>;
}

/** Any row the definition allows, extremes often. */
export function rowArbitrary<D extends RecordDefinition>(definition: D): fc.Arbitrary<RowOf<D>> {
  const model = Object.fromEntries(definition.fields.map((field) => [field.name, valueArbitrary(field)]));
  return fc.record(model, { noNullPrototype: true }) as unknown as fc.Arbitrary<RowOf<D>>;
}

/** 1 to `maxRows` rows; now and then all of them equal. */
export function rowsArbitrary<D extends EventDefinition>(definition: D, maxRows: number): fc.Arbitrary<RowOf<D>[]> {
  const row = rowArbitrary(definition);
  const equal = fc
    .tuple(row, fc.integer({ min: 1, max: maxRows }))
    .map(([one, rows]) => Array<RowOf<D>>(rows).fill(one));
  return fc.oneof({ weight: 4, arbitrary: fc.array(row, { minLength: 1, maxLength: maxRows }) }, equal);
}

const name = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((word) => Buffer.byteLength(word) <= 256);

export const headerArbitrary: fc.Arbitrary<BatchHeader> = fc.record(
  {
    node: name,
    boot: name,
    probeEpoch: fc.bigInt({ min: 0n, max: NUMBER_FORMATS.u64.max }),
    batchSeq: fc.maxSafeNat(),
  },
  { noNullPrototype: true },
);

/** The rows of a decoded message, in the form in which they were encoded. */
export function rowsOf(batch: Batch): AnyRow[] {
  const { fields } = eventByName(batch.type)!;
  return Array.from({ length: batch.rows }, (_, row) =>
    Object.fromEntries(fields.map((field) => [field.name, valueAt(batch, field, row)])),
  );
}

function valueAt(batch: Batch, { name, kind }: Field, row: number): Value {
  if (kind === 'digest') return Buffer.from(digestAt(batch, name, row), 'hex').toString('latin1');
  if (isTextKind(kind)) return textAt(batch, name, row);
  return NUMBER_FORMATS[kind].sizeBytes === 8 ? bigAt(batch, name, row) : numberAt(batch, name, row);
}
