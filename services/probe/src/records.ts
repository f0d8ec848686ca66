/** Kernel records as rows: what the ring delivers, and processes that were there before. */
import { readFileSync } from 'node:fs';
import { exec } from '@bintrail/schemas/exec.ts';
import { exit } from '@bintrail/schemas/exit.ts';
import { readRecordHead, ringDecoder } from '@bintrail/schemas/ring-record.ts';
import type { BpfObject } from './bpf-object.ts';
import type { Row } from './events-out.ts';
import { inodeKey } from './file-identity.ts';

const decodeExec = ringDecoder(exec);
const decodeExit = ringDecoder(exit);

/** A decoded record of the ring. */
export type Arrived = { readonly exec?: Row<'exec'>; readonly exit?: Row<'exit'> };

/** Undefined for what is no record of ours. `bootOffsetNs` turns the boot clock into wall-clock time. */
export function decodeRecord(record: DataView, bootOffsetNs: bigint): Arrived | undefined {
  const head = readRecordHead(record);
  if (head === undefined) return undefined;
  const identity = { ts: head.bootNs + bootOffsetNs, cpu: head.cpu, cpu_seq: head.seq };
  if (head.type === exec.id) {
    const row = decodeExec(record);
    return row && { exec: Object.assign(row, identity) };
  }
  const row = head.type === exit.id ? decodeExit(record) : undefined;
  return row && { exit: Object.assign(row, identity) };
}

/**
 * Processes that are running, as exec rows flagged `snapshot`. Arguments come from /proc: whoever is gone by then leaves
 * them empty.
 */
export function snapshotRows(bpf: BpfObject, bootOffsetNs: bigint): Row<'exec'>[] {
  return bpf.snapshot().flatMap((record) => {
    const row = decodeExec(record);
    const head = readRecordHead(record);
    if (row === undefined || head === undefined) return [];
    const argv = readArguments(row.pid);
    const argc = argv === '' ? 0 : argv.split('\0').length - 1;
    return [Object.assign(row, { ts: head.bootNs + bootOffsetNs, argv, argc })];
  });
}

function readArguments(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').slice(0, MAX_ARGV_BYTES);
  } catch {
    return '';
  }
}

/** As much as the kernel side keeps of a live exec (ARGV_BYTES in bpf/bintrail.bpf.c). */
const MAX_ARGV_BYTES = 8_191;

/** Whether this process image is still running its file, and nobody may write to it. */
export function stillRuns(bpf: BpfObject, row: Row<'exec'>): boolean {
  return bpf.snapshot(row.pid).some((record) => {
    const now = decodeExec(record);
    return (
      now !== undefined &&
      now.start_ns === row.start_ns &&
      now.self_exec_id === row.self_exec_id &&
      inodeKey(now) === inodeKey(row) &&
      now.writecount < 0
    );
  });
}
