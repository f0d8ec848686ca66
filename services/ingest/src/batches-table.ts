/** The `batches` table: one row per message taken from the bus. Repeats and gaps are read from it. */

import type { Plan } from '@bintrail/runtime/bus.ts';
import type { MessageHeader } from './messages.ts';
import { type RecordColumn, recordBlock } from './record-block.ts';

/** A message and what became of it. `repeat`: an earlier offset holds it, its rows are not stored again. */
export type MessageRow = {
  readonly header: MessageHeader;
  readonly offset: number;
  /** Size of the message on the bus. */
  readonly sizeBytes: number;
  readonly repeat: boolean;
};

/** The columns of the table, in its order. */
export function batchesColumns(plan: Plan): readonly RecordColumn<MessageRow>[] {
  return [
    { name: 'bus_id', type: 'LowCardinality(String)', of: () => Buffer.from(plan.busId) },
    { name: 'topic', type: 'LowCardinality(String)', of: () => Buffer.from(plan.topic) },
    { name: 'partition', type: 'UInt32', of: () => plan.partition },
    { name: 'offset', type: 'UInt64', of: ({ offset }) => BigInt(offset) },
    { name: 'node', type: 'LowCardinality(String)', of: ({ header }) => Buffer.from(header.node) },
    { name: 'boot', type: 'LowCardinality(String)', of: ({ header }) => Buffer.from(header.boot) },
    { name: 'probe_epoch', type: 'UInt64', of: ({ header }) => header.probeEpoch },
    { name: 'batch_seq', type: 'UInt64', of: ({ header }) => BigInt(header.batchSeq) },
    { name: 'type', type: 'LowCardinality(String)', of: ({ header }) => Buffer.from(header.type) },
    { name: 'rows', type: 'UInt32', of: ({ header }) => header.rows },
    { name: 'size_bytes', type: 'UInt32', of: ({ sizeBytes }) => sizeBytes },
    { name: 'repeat', type: 'UInt8', of: ({ repeat }) => (repeat ? 1 : 0) },
    { name: 'ingested_at', type: "DateTime64(3, 'UTC')", of: () => BigInt(plan.atMs) },
  ];
}

export function messageRowsBlock(plan: Plan, messages: readonly MessageRow[]): Buffer {
  return recordBlock(batchesColumns(plan), messages);
}
