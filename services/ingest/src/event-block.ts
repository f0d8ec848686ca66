/** Turns decoded messages of one event type into one Native block of its table, column by column. */
import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import { HEADER_COLUMNS, type StoreColumn, storeColumns } from '@bintrail/schemas/clickhouse.ts';
import { isTextKind, NUMBER_FORMATS, type NumberColumn, type TextColumn } from '@bintrail/schemas/column.ts';
import type { EventDefinition } from '@bintrail/schemas/field.ts';
import { lowCardinalityData, type NativeColumn, nativeBlock, numberData, stringData } from './native-block.ts';

/** The block of at least one message, rows in the order of the messages. `atMs` is the plan's time, not the clock's. */
export function eventBlock(definition: EventDefinition, batches: readonly Batch[], atMs: number): Buffer {
  const rows = batches.reduce((sum, batch) => sum + batch.rows, 0);
  const headerData: Record<string, readonly Uint8Array[]> = {
    node: lowCardinalityData(batches.map((batch) => constantText(batch.node, batch.rows))),
    boot: lowCardinalityData(batches.map((batch) => constantText(batch.boot, batch.rows))),
    probe_epoch: numberData(batches.map((batch) => new BigUint64Array(batch.rows).fill(batch.probeEpoch))),
    ingested_at: numberData([new BigUint64Array(rows).fill(BigInt(atMs))]),
  };
  const kinds = new Map(definition.fields.map((field) => [field.name, field.kind]));
  const columns = storeColumns(definition).map((column, index): NativeColumn => {
    if (index < HEADER_COLUMNS.length) return { ...column, data: headerData[column.name]! };
    const parts = batches.map((batch) => batch.columns.get(column.name)!);
    if (!isTextKind(kinds.get(column.name)!)) return { ...column, data: numberData(parts as NumberColumn[]) };
    return { ...column, data: textData(column, parts as TextColumn[]) };
  });
  return nativeBlock(columns, rows);
}

/**
 * Bytes a message takes once every row holds its texts by itself, as roll-ups read it: a kilobyte of dictionaries can
 * stand for gigabytes of rows.
 */
export function expandedSizeBytes(definition: EventDefinition, batch: Batch): number {
  let sizeBytes = 0;
  for (const { name, kind } of definition.fields) {
    if (isTextKind(kind)) sizeBytes += textsSizeBytes(batch.columns.get(name) as TextColumn);
    else if (kind === 'digest') sizeBytes += (batch.columns.get(name) as Uint8Array).length;
    else sizeBytes += batch.rows * NUMBER_FORMATS[kind].sizeBytes;
  }
  return sizeBytes;
}

function textsSizeBytes({ dict, codes }: TextColumn): number {
  if (dict.length === 1) return dict[0]!.length * codes.length;
  let sizeBytes = 0;
  for (const code of codes) sizeBytes += dict[code]!.length;
  return sizeBytes;
}

function textData(column: StoreColumn, parts: readonly TextColumn[]): Uint8Array[] {
  return column.type === 'String' ? stringData(parts) : lowCardinalityData(parts);
}

function constantText(text: string, rows: number): TextColumn {
  return { dict: [Buffer.from(text)], codes: new Uint8Array(rows) };
}
