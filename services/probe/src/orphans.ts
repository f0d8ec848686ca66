/**
 * Late digests whose row was dropped. The store moves a count from `pending` to the digest when one comes: without the row
 * that was counted there, sums would no longer be what the rows are. So such a digest goes the way of its row.
 */
import type { BatchColumns } from '@bintrail/schemas/batch-columns.ts';
import { type Batch, decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { type BatchHeader, encodeColumns } from '@bintrail/schemas/batch-encode.ts';
import { bigAt, numberAt, textAt } from '@bintrail/schemas/row.ts';

export type Orphans = {
  /** Notes the rows of a dropped message whose digest is still to come. */
  readonly note: (message: Uint8Array) => void;
  /** The ranges of rows of these digests whose rows were not dropped. What is left out is forgotten: it comes once. */
  readonly kept: (digests: BatchColumns) => (readonly [from: number, to: number])[];
};

const HEADER: BatchHeader = { node: '', boot: '', probeEpoch: 0n, batchSeq: 0 };

export function createOrphans(): Orphans {
  const orphaned = new Set<string>();
  return {
    note(message) {
      const batch = decoded(message);
      if (batch.type !== 'exec' && batch.type !== 'load') return;
      for (let row = 0; row < batch.rows; row += 1)
        if (textAt(batch, 'digest_reason', row) === 'pending') orphaned.add(keyAt(batch, row));
    },
    kept(digests) {
      if (orphaned.size === 0) return [[0, digests.rows]];
      const batch = decoded(encodeColumns(digests, HEADER, 0, digests.rows));
      const ranges: [number, number][] = [];
      for (let row = 0; row < batch.rows; row += 1) {
        if (orphaned.delete(keyAt(batch, row))) continue;
        const last = ranges.at(-1);
        if (last?.[1] === row) last[1] = row + 1;
        else ranges.push([row, row + 1]);
      }
      return ranges;
    },
  };
}

/** What a digest names its row by. */
function keyAt(batch: Batch, row: number): string {
  const role = batch.type === 'exec' ? 'exec' : textAt(batch, 'role', row);
  const image = [numberAt(batch, 'pid', row), bigAt(batch, 'start_ns', row), numberAt(batch, 'self_exec_id', row)];
  return [role, ...image, textAt(batch, 'path', row)].join(':');
}

function decoded(message: Uint8Array): Batch {
  const result = decodeBatch(message);
  if (!result.ok) throw new Error(`the probe cannot read what it wrote: ${result.detail}`);
  return result.batch;
}
