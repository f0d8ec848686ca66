/** Ring records as the kernel writes them, and as it never would. */
import { isTextKind, NUMBER_FORMATS, type NumberKind } from './column.ts';
import { RECORD_HEADER_BYTES, type RecordDefinition, type RecordLayout, recordLayout } from './layout.ts';
import { mutate, type Random } from './mutation.fixture.ts';

type AnyRow = Readonly<Record<string, number | bigint | string>>;

/** A record as the C struct lies in memory: fields in order at their natural alignment, texts behind. */
export function writeRecord({ fields }: RecordDefinition, row: AnyRow): Buffer {
  const kernel = fields.filter(({ from }) => from === 'kernel');
  const fixed = Buffer.alloc(4096);
  let at = RECORD_HEADER_BYTES;
  for (const { name, kind } of kernel.filter((field) => !isTextKind(field.kind))) {
    const { sizeBytes } = NUMBER_FORMATS[kind as NumberKind];
    if (sizeBytes === 8) fixed.writeBigUInt64LE(row[name] as bigint, at);
    else if (kind === 'i32') fixed.writeInt32LE(row[name] as number, at);
    else fixed.writeUIntLE(row[name] as number, at, sizeBytes);
    at += sizeBytes;
  }
  const texts: Buffer[] = [];
  for (const { name } of kernel.filter((field) => isTextKind(field.kind))) {
    const text = Buffer.from(row[name] as string, 'latin1');
    fixed.writeUInt16LE(text.length, at);
    texts.push(text);
    at += 2;
  }
  return Buffer.concat([fixed.subarray(0, Math.ceil(at / 8) * 8), ...texts]);
}

const layouts = new Map<RecordDefinition, RecordLayout>();

function layoutOf(definition: RecordDefinition): RecordLayout {
  const known = layouts.get(definition) ?? recordLayout(definition);
  layouts.set(definition, known);
  return known;
}

const MAX_RANDOM_BYTES = 600;
const MAX_TEXT_BYTES = 40;
const LENGTHS = [0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff];

/** Random bytes, or a record of random values: whole, cut, prolonged, with lengths that lie, or with bytes changed. */
export function damagedRecord(definition: RecordDefinition, random: Random): Uint8Array {
  if (random(4) === 0) return withType(definition, randomBytes(random(MAX_RANDOM_BYTES), random), random);
  const record = randomRecord(definition, random);
  const { texts } = layoutOf(definition);
  switch (random(5)) {
    case 0:
      return record.subarray(0, random(record.length));
    case 1:
      return Buffer.concat([record, randomBytes(1 + random(20), random)]);
    case 2: {
      if (texts.length > 0) record.writeUInt16LE(LENGTHS[random(LENGTHS.length)]!, texts[random(texts.length)]!.offset);
      return record;
    }
    case 3:
      return mutate(record, random);
    default:
      return record;
  }
}

function randomRecord(definition: RecordDefinition, random: Random): Buffer {
  const { sizeBytes, texts } = layoutOf(definition);
  const lengths = texts.map(() => random(MAX_TEXT_BYTES));
  const record = randomBytes(sizeBytes + lengths.reduce((sum, length) => sum + length, 0), random);
  record.writeUInt32LE(definition.id, 0);
  for (const [at, { offset }] of texts.entries()) record.writeUInt16LE(lengths[at]!, offset);
  return record;
}

/** Mostly what claims to be of this type: other heads are refused before anything else is looked at. */
function withType({ id }: RecordDefinition, bytes: Buffer, random: Random): Buffer {
  if (bytes.length >= 4 && random(4) > 0) bytes.writeUInt32LE(id, 0);
  return bytes;
}

function randomBytes(length: number, random: Random): Buffer {
  const bytes = Buffer.allocUnsafe(length + 4);
  for (let at = 0; at < length; at += 4) bytes.writeUInt32LE(random(0x1_0000_0000), at);
  return bytes.subarray(0, length);
}
