/**
 * What is mapped for execution, as loads. The kernel tells of each use of a file once and counts it from then on: what it
 * counted becomes a row of its own, which no single process stands behind.
 */
import { NUMBER_FORMATS } from '@bintrail/schemas/column.ts';
import type { RowOf } from '@bintrail/schemas/field.ts';
import { mapping, repeats } from '@bintrail/schemas/mapping.ts';
import { readRecordHead, ringDecoder } from '@bintrail/schemas/ring-record.ts';
import type { TakeRecord } from './code-intake.ts';
import type { Row } from './events-out.ts';
import type { Observer } from './observer.ts';
import type { Origins, Place } from './origins.ts';
import { STREAM } from './streams.ts';
import { type Mapped, NOTHING_KNOWN } from './subjects.ts';

export type LoadOptions = {
  readonly observer: Pick<Observer, 'onMapped'>;
  readonly origins: Pick<Origins, 'placeOfPath'>;
  readonly nextSeq: (stream: number) => bigint;
};

/** What the kernel counts on: as many at most as it remembers (MAX_USES in bpf/uses.h), as it says which it forgets. */
type Use = Omit<Mapped, 'atNs'> & { toldNs: bigint };

/** The takers of both records, by their type. */
export function createLoads({ observer, origins, nextSeq }: LoadOptions): [number, TakeRecord][] {
  const uses = new Map<string, Use>();
  const [decodeMapping, decodeRepeats] = [ringDecoder(mapping), ringDecoder(repeats)];

  const takeMapping: TakeRecord = (bytes, bootOffsetNs, nowNs) => {
    const [record, head] = [decodeMapping(bytes), readRecordHead(bytes)];
    const ts = (head?.bootNs ?? 0n) + bootOffsetNs;
    if (record === undefined || head === undefined || !isTime(ts)) return false;
    const place = origins.placeOfPath(record.cgroup_path);
    const row = loadRow(record, place, ts, nextSeq(STREAM.load));
    uses.set(`${head.cpu}:${head.seq}`, { record, row, place, toldNs: ts });
    observer.onMapped({ record, row: { ...row }, place, atNs: ts }, nowNs);
    return true;
  };
  const takeRepeats: TakeRecord = (bytes, bootOffsetNs, nowNs) => {
    const told = decodeRepeats(bytes);
    const key = `${told?.of_cpu}:${told?.of_seq}`;
    const use = uses.get(key);
    const ts = (told?.last_ns ?? 0n) + bootOffsetNs;
    if (told === undefined || use === undefined || !isTime(ts)) return false;
    if (told.count > 0) {
      const row = { ...use.row, ...NO_PROCESS, ts, seq: nextSeq(STREAM.load), repeats: told.count - 1 };
      observer.onMapped({ ...use, row, atNs: use.toldNs }, nowNs);
      use.toldNs = ts;
    }
    if (told.forgotten) uses.delete(key);
    return true;
  };
  return [
    [mapping.id, takeMapping],
    [repeats.id, takeRepeats],
  ];
}

const NO_PROCESS = { pid: 0, self_exec_id: 0, start_ns: 0n };

function isTime(ns: bigint): boolean {
  return ns >= 0n && ns <= NUMBER_FORMATS.time.max;
}

/** A row of what was mapped, of which nothing more is known. */
export function loadRow(record: RowOf<typeof mapping>, place: Place, ts: bigint, seq: bigint): Row<'load'> {
  const { from_address: _from, to_address: _to, cgroup_path: _cgroup, mnt_ns: _namespace, in_exec, ...facts } = record;
  return {
    ...facts,
    ...{ ts, stream: STREAM.load, seq, role: in_exec ? 'loader' : 'library' },
    ...{ repeats: 0, script_evidence: '' },
    ...{ workload: place.workload, container_id: place.containerId, image: '', ...NOTHING_KNOWN },
  };
}
