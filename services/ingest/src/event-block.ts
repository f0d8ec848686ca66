/** Turns decoded messages of one event type into one Native block of its table, column by column. */
import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import { HEADER_COLUMNS, type StoreColumn, storeColumns } from '@bintrail/schemas/clickhouse.ts';
import {
  DIGEST_BYTES,
  isTextKind,
  NUMBER_FORMATS,
  type NumberKind,
  type TextColumn,
} from '@bintrail/schemas/column.ts';
import type { EventDefinition, Field, Kind } from '@bintrail/schemas/field.ts';
import { joinSpans, numberParts, type Span, textParts } from './chunk.ts';
import {
  type ColumnData,
  lowCardinalityData,
  type NativeColumn,
  nativeBlock,
  numberData,
  runsData,
  stringData,
} from './native-block.ts';

/** What a block needs to know of a message. */
export type StoredMessage = Pick<Batch, 'node' | 'boot' | 'probeEpoch'> & Span;

/** The block of at least one message, rows in the order of the messages. `atMs` is the plan's time, not the clock's. */
export function eventBlock(definition: EventDefinition, messages: readonly StoredMessage[], atMs: number): Buffer {
  const lengths = messages.map((message) => message.rows);
  const rows = lengths.reduce((sum, length) => sum + length, 0);
  const headerData: Record<string, ColumnData> = {
    node: runsData(namesOf(messages, 'node'), lengths),
    boot: runsData(namesOf(messages, 'boot'), lengths),
    probe_epoch: numberData([epochs(messages, rows)]),
    ingested_at: numberData([new BigUint64Array(rows).fill(BigInt(atMs))]),
  };
  const spans = joinSpans(messages);
  const columns = layoutOf(definition).map(({ column, kind }, index): NativeColumn => {
    if (kind === undefined) return { ...column, data: headerData[column.name]! };
    const field = index - HEADER_COLUMNS.length;
    if (!isTextKind(kind)) {
      return { ...column, data: numberData(numberParts(spans, field, kind === 'digest' ? DIGEST_BYTES : 1)) };
    }
    const texts = textParts(spans, field);
    return { ...column, data: column.type === 'String' ? stringData(texts) : lowCardinalityData(texts) };
  });
  return nativeBlock(columns, rows);
}

/** A column of the table; `kind` is undefined where it comes from the header of the message. */
type Layout = readonly { readonly column: StoreColumn; readonly kind: Kind | undefined }[];

const layouts = new WeakMap<EventDefinition, Layout>();

function layoutOf(definition: EventDefinition): Layout {
  const known = layouts.get(definition);
  if (known !== undefined) return known;
  // The header's columns stand in front, the fields' follow in the order of the definition.
  const layout = storeColumns(definition).map((column, index) => ({
    column,
    kind: definition.fields[index - HEADER_COLUMNS.length]?.kind,
  }));
  layouts.set(definition, layout);
  return layout;
}

/** The name of each message as bytes; equal ones in a row share them. */
function namesOf(batches: readonly StoredMessage[], which: 'node' | 'boot'): Uint8Array[] {
  const known = new Map<string, Uint8Array>();
  return batches.map((batch) => {
    const name = batch[which];
    const bytes = known.get(name) ?? Buffer.from(name);
    known.set(name, bytes);
    return bytes;
  });
}

function epochs(batches: readonly StoredMessage[], rows: number): BigUint64Array {
  const column = new BigUint64Array(rows);
  let at = 0;
  for (const { probeEpoch, rows: length } of batches) {
    column.fill(probeEpoch, at, at + length);
    at += length;
  }
  return column;
}

/**
 * Bytes a message takes once every row holds its texts by itself, as roll-ups read it: a kilobyte of dictionaries can
 * stand for gigabytes of rows.
 */
export function expandedSizeBytes(definition: EventDefinition, batch: Batch): number {
  const { fixedBytes, texts } = widthsOf(definition);
  let sizeBytes = batch.rows * fixedBytes;
  for (const name of texts) sizeBytes += textsSizeBytes(batch.columns.get(name) as TextColumn);
  return sizeBytes;
}

/** Bytes that all numbers and digests of a row take, and the names of its texts. */
type Widths = { readonly fixedBytes: number; readonly texts: readonly string[] };

const knownWidths = new WeakMap<EventDefinition, Widths>();

function widthsOf(definition: EventDefinition): Widths {
  let widths = knownWidths.get(definition);
  if (widths === undefined) {
    const fixed = definition.fields.filter(({ kind }) => !isTextKind(kind));
    const texts = definition.fields.filter(({ kind }) => isTextKind(kind)).map(({ name }) => name);
    const widthOf = ({ kind }: Field) =>
      kind === 'digest' ? DIGEST_BYTES : NUMBER_FORMATS[kind as NumberKind].sizeBytes;
    widths = { fixedBytes: fixed.reduce((sum, field) => sum + widthOf(field), 0), texts };
    knownWidths.set(definition, widths);
  }
  return widths;
}

function textsSizeBytes({ dict, codes }: TextColumn): number {
  if (dict.length === 1) return dict[0]!.length * codes.length;
  let sizeBytes = 0;
  for (let row = 0; row < codes.length; row++) sizeBytes += dict[codes[row]!]!.length;
  return sizeBytes;
}
