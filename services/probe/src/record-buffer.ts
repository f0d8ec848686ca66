/** Finished records of the ring, copied out of it as they lie there, until what they need has arrived. */
import type { RecordMemory } from '@bintrail/schemas/ring-columns.ts';

export type RecordBuffer = RecordMemory & {
  /** Where each record starts, in bytes, and how long it is. */
  readonly starts: Uint32Array;
  readonly lengths: Uint32Array;
  count: number;
  usedBytes: number;
};

export function openRecordBuffer(maxRecords: number, maxBytes: number): RecordBuffer {
  const memory = new ArrayBuffer(maxBytes);
  return {
    ...{ words: new Uint32Array(memory), bytes: new Uint8Array(memory) },
    ...{ starts: new Uint32Array(maxRecords), lengths: new Uint32Array(maxRecords), count: 0, usedBytes: 0 },
  };
}

/** A view of one record, valid until the buffer is emptied. */
export function recordView({ bytes, starts, lengths }: RecordBuffer, index: number): DataView {
  return new DataView(bytes.buffer, starts[index], lengths[index]);
}

export function emptyBuffer(buffer: RecordBuffer): void {
  buffer.count = 0;
  buffer.usedBytes = 0;
}
