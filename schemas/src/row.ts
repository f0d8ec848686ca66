import type { Batch } from './batch-decode.ts';
import { type Column, DIGEST_BYTES, type TextColumn } from './column.ts';

/** A byte string of one row, as latin1. */
export function textAt(batch: Batch, name: string, row: number): string {
  const { dict, codes } = batch.columns.get(name) as TextColumn;
  return Buffer.from(dict[codes[row]!]!).toString('latin1');
}

/** A number of one row; 64-bit columns give bigints through {@link bigAt}. */
export function numberAt(batch: Batch, name: string, row: number): number {
  return (batch.columns.get(name) as Uint32Array)[row]!;
}

export function bigAt(batch: Batch, name: string, row: number): bigint {
  return (batch.columns.get(name) as BigUint64Array)[row]!;
}

/** A digest of one row in lower-case hex, or '' when absent. */
export function digestAt(batch: Batch, name: string, row: number): string {
  const column = batch.columns.get(name) as Column as Uint8Array;
  const bytes = column.subarray(row * DIGEST_BYTES, (row + 1) * DIGEST_BYTES);
  return bytes.every((byte) => byte === 0) ? '' : Buffer.from(bytes).toString('hex');
}
