/** Passes on the records of the ring for code: what is loaded, and what is made of it. */
import { RECORD_HEADER_BYTES } from '@bintrail/schemas/layout.ts';
import { emptyBuffer, type RecordBuffer, recordView } from './record-buffer.ts';

/** Takes one record; false when it is none of ours. `bootOffsetNs` turns the boot clock into wall-clock time. */
export type TakeRecord = (record: DataView, bootOffsetNs: bigint, nowNs: bigint) => boolean;

/** Takes all records, and empties the buffer. */
export type CodeIntake = (records: RecordBuffer, bootOffsetNs: bigint, nowNs: bigint) => void;

/** `takers` by the type of their records; `onUndecodable` is called for what none of them takes. */
export function createCodeIntake(takers: ReadonlyMap<number, TakeRecord>, onUndecodable: () => void): CodeIntake {
  return (records, bootOffsetNs, nowNs) => {
    for (let index = 0; index < records.count; index++) {
      const record = recordView(records, index);
      const take = record.byteLength < RECORD_HEADER_BYTES ? undefined : takers.get(record.getUint32(0, true));
      if (!take?.(record, bootOffsetNs, nowNs)) onUndecodable();
    }
    emptyBuffer(records);
  };
}
