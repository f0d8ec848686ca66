/** Decodes ring records into rows, by the same layout the C header is generated from. */
import { isTextKind } from './column.ts';
import type { RowOf } from './field.ts';
import {
  type NumberSlot,
  RECORD_HEADER_BYTES,
  type RecordDefinition,
  type RecordLayout,
  recordLayout,
} from './layout.ts';

/** Head of every record: which event, numbered where, and when on the boot clock (nanoseconds). */
export type RecordHead = { readonly type: number; readonly cpu: number; readonly seq: bigint; readonly bootNs: bigint };

/** Reads the head; undefined when the record is shorter than one. */
export function readRecordHead(record: DataView): RecordHead | undefined {
  if (record.byteLength < RECORD_HEADER_BYTES) return undefined;
  return {
    type: record.getUint32(0, true),
    cpu: record.getUint32(4, true),
    seq: record.getBigUint64(8, true),
    bootNs: record.getBigUint64(16, true),
  };
}

type AnyRow = Record<string, number | bigint | string>;

/**
 * Makes the decoder of one record. It returns the row with its kernel fields read and its probe fields at their
 * defaults, or undefined when the record's size does not equal what its lengths say.
 */
export function ringDecoder<D extends RecordDefinition>(definition: D): (record: DataView) => RowOf<D> | undefined {
  const layout = recordLayout(definition);
  const defaults: AnyRow = {};
  for (const { name, kind } of definition.fields) {
    defaults[name] = isTextKind(kind) || kind === 'digest' ? '' : kind === 'u64' || kind === 'time' ? 0n : 0;
  }
  return (record) => decode(layout, defaults, record) as RowOf<D> | undefined;
}

function decode(layout: RecordLayout, defaults: AnyRow, record: DataView): AnyRow | undefined {
  if (record.byteLength < layout.sizeBytes) return undefined;
  const row = { ...defaults };
  for (const slot of layout.numbers) row[slot.name] = readNumber(record, slot);
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  let at = layout.sizeBytes;
  for (const { name, offset } of layout.texts) {
    const end = at + record.getUint16(offset, true);
    if (end > record.byteLength) return undefined;
    row[name] = bytes.toString('latin1', at, end);
    at = end;
  }
  return at === record.byteLength ? row : undefined;
}

/** Why a ring record is not read. */
export type RingRefusal = 'no_head' | 'unknown_event' | 'too_short' | 'text_overrun' | 'trailing_bytes';

/**
 * Says why a record is not read, undefined when it is. `definition` is that of the record's type, undefined where there
 * is none. Asked only after a decoder refused, so that reading pays nothing for it.
 */
export function ringRefusal(record: DataView, definition: RecordDefinition | undefined): RingRefusal | undefined {
  if (record.byteLength < RECORD_HEADER_BYTES) return 'no_head';
  if (definition === undefined) return 'unknown_event';
  const { sizeBytes, texts } = recordLayout(definition);
  if (record.byteLength < sizeBytes) return 'too_short';
  let end = sizeBytes;
  for (const { offset } of texts) end += record.getUint16(offset, true);
  if (end > record.byteLength) return 'text_overrun';
  return end < record.byteLength ? 'trailing_bytes' : undefined;
}

/** Reads one number of a C struct. */
export function readNumber(view: DataView, { kind, offset }: NumberSlot): number | bigint {
  switch (kind) {
    case 'u8':
      return view.getUint8(offset);
    case 'u16':
      return view.getUint16(offset, true);
    case 'u32':
      return view.getUint32(offset, true);
    case 'i32':
      return view.getInt32(offset, true);
    default:
      return view.getBigUint64(offset, true);
  }
}
