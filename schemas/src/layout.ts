/** Byte layout of a ring record, shared by the generated C header and the decoder. */
import type { NumberKind } from './column.ts';
import { isTextKind, NUMBER_FORMATS } from './column.ts';
import { type EventDefinition, type Field, fileFields } from './field.ts';

/** Every record starts with: type u32, cpu u32, seq u64, boot_ns u64. */
export const RECORD_HEADER_BYTES = 24;

export type NumberSlot = { readonly name: string; readonly kind: NumberKind; readonly offset: number };
/** `offset` is where the u16 length stands; the bytes follow the fixed part in this order, without terminators. */
export type TextSlot = { readonly name: string; readonly offset: number };

export type RecordLayout = {
  readonly numbers: readonly NumberSlot[];
  readonly texts: readonly TextSlot[];
  /** Size of the fixed part; a multiple of 8, padded explicitly. */
  readonly sizeBytes: number;
};

/** Lays out numbers at their natural alignment. Throws when that would need hidden padding: reorder the fields then. */
export function layOut(fields: readonly Field[], startBytes: number): RecordLayout {
  let offset = startBytes;
  const numbers: NumberSlot[] = [];
  const kernelFields = fields.filter((field) => field.from === 'kernel');
  for (const { name, kind } of kernelFields) {
    if (isTextKind(kind) || kind === 'digest') continue;
    const { sizeBytes } = NUMBER_FORMATS[kind];
    if (offset % sizeBytes !== 0) throw new Error(`${name} at offset ${offset} would need hidden padding: reorder`);
    numbers.push({ name, kind, offset });
    offset += sizeBytes;
  }
  const texts: TextSlot[] = [];
  for (const { name, kind } of kernelFields) {
    if (!isTextKind(kind)) continue;
    texts.push({ name, offset });
    offset += 2;
  }
  return { numbers, texts, sizeBytes: Math.ceil(offset / 8) * 8 };
}

/** What a record of the ring is called, tagged with, and holds. */
export type RecordDefinition = Pick<EventDefinition, 'name' | 'id' | 'fields'>;

export function recordLayout(definition: Pick<RecordDefinition, 'fields'>): RecordLayout {
  return layOut(definition.fields, RECORD_HEADER_BYTES);
}

/** Layout of the C `struct bt_file` on its own, as the descriptor program returns it. */
export const FILE_LAYOUT = layOut(fileFields, 0);
