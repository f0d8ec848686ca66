/** Passes on the records of the ring: the short way where one is open to them, else decoded and by way of the observer. */
import { EVENTS } from '@bintrail/schemas/events.ts';
import { RECORD_HEADER_BYTES } from '@bintrail/schemas/layout.ts';
import type { TakeExec } from './exec-columns.ts';
import type { TakeExit } from './exit-columns.ts';
import type { Observer } from './observer.ts';
import { emptyBuffer, type RecordBuffer, recordView } from './record-buffer.ts';
import { decodeExecRecord } from './records.ts';

export type IntakeOptions = {
  readonly takeExec: TakeExec;
  readonly takeExit: TakeExit;
  readonly observer: Observer;
  /** Called for what is no record of ours. */
  readonly onUndecodable: () => void;
};

/** Takes all records and empties the buffer. `bootOffsetNs` turns the boot clock into wall-clock time. */
export type Intake = (records: RecordBuffer, bootOffsetNs: bigint, nowNs: bigint) => void;

export function createIntake({ takeExec, takeExit, observer, onUndecodable }: IntakeOptions): Intake {
  const takeLongWay = (records: RecordBuffer, index: number, bootOffsetNs: bigint, nowNs: bigint): boolean => {
    const row = decodeExecRecord(recordView(records, index), bootOffsetNs);
    if (row !== undefined) observer.onExec(row, nowNs);
    return row !== undefined;
  };
  return (records, bootOffsetNs, nowNs) => {
    const wrapped = BigInt.asUintN(64, bootOffsetNs);
    const offset = { low: Number(wrapped & 0xffff_ffffn), high: Number(wrapped >> 32n) };
    const nowMs = performance.now();
    for (let index = 0; index < records.count; index++) {
      const type = records.lengths[index]! < RECORD_HEADER_BYTES ? 0 : records.words[records.starts[index]! >>> 2];
      const taken =
        type === EVENTS.exec.id
          ? takeExec(records, index, offset, nowMs) || takeLongWay(records, index, bootOffsetNs, nowNs)
          : type === EVENTS.exit.id && takeExit(records, index, offset);
      if (!taken) onUndecodable();
    }
    emptyBuffer(records);
  };
}
