/** Passes on the records of the ring: the short way where one is open to them, else decoded and by way of the observer. */
import { EVENTS } from '@bintrail/schemas/events.ts';
import { RECORD_HEADER_BYTES } from '@bintrail/schemas/layout.ts';
import type { Offset } from '@bintrail/schemas/ring-columns.ts';
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

export type Intake = {
  /**
   * Takes the records that need nothing but themselves; the others stay in the buffer, in their order. So does what may
   * rest on one of those: the exit of a program or the exec by a parent that is not known yet.
   */
  readonly takeKnown: (records: RecordBuffer, bootOffsetNs: bigint) => void;
  /** Takes all records, once the descriptors of their files have arrived, and empties the buffer. */
  readonly takeRest: (records: RecordBuffer, bootOffsetNs: bigint, nowNs: bigint) => void;
};

/** `bootOffsetNs` turns the boot clock into wall-clock time. */
export function createIntake({ takeExec, takeExit, observer, onUndecodable }: IntakeOptions): Intake {
  const takeLongWay = (records: RecordBuffer, index: number, bootOffsetNs: bigint, nowNs: bigint): boolean => {
    const row = decodeExecRecord(recordView(records, index), bootOffsetNs);
    if (row !== undefined) observer.onExec(row, nowNs);
    return row !== undefined;
  };
  const takeKnown: Intake['takeKnown'] = (records, bootOffsetNs) => {
    const [offset, nowMs] = [words(bootOffsetNs), performance.now()];
    let kept = 0;
    for (let index = 0; index < records.count; index++) {
      const type = typeOf(records, index);
      const mustBeKnown = kept > 0;
      if (type === EVENTS.exec.id && takeExec(records, index, offset, nowMs, mustBeKnown)) continue;
      if (type === EVENTS.exit.id && takeExit(records, index, offset, mustBeKnown)) continue;
      records.starts[kept] = records.starts[index]!;
      records.lengths[kept++] = records.lengths[index]!;
    }
    records.count = kept;
    if (kept === 0) emptyBuffer(records);
  };
  const takeRest: Intake['takeRest'] = (records, bootOffsetNs, nowNs) => {
    const [offset, nowMs] = [words(bootOffsetNs), performance.now()];
    for (let index = 0; index < records.count; index++) {
      const type = typeOf(records, index);
      const taken =
        type === EVENTS.exec.id
          ? takeExec(records, index, offset, nowMs, false) || takeLongWay(records, index, bootOffsetNs, nowNs)
          : type === EVENTS.exit.id && takeExit(records, index, offset, false);
      if (!taken) onUndecodable();
    }
    emptyBuffer(records);
  };
  return { takeKnown, takeRest };
}

function words(ns: bigint): Offset {
  const wrapped = BigInt.asUintN(64, ns);
  return { low: Number(wrapped & 0xffff_ffffn), high: Number(wrapped >> 32n) };
}

/** 0 for what is no record. */
function typeOf({ words, starts, lengths }: RecordBuffer, index: number): number {
  return lengths[index]! < RECORD_HEADER_BYTES ? 0 : words[starts[index]! >>> 2]!;
}
