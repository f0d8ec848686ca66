/** Kernel records as rows: what the ring delivers, and processes that were there before. */
import { readFileSync } from 'node:fs';
import { NUMBER_FORMATS } from '@bintrail/schemas/column.ts';
import { exec } from '@bintrail/schemas/exec.ts';
import { exit } from '@bintrail/schemas/exit.ts';
import { readRecordHead, ringDecoder } from '@bintrail/schemas/ring-record.ts';
import type { BpfObject } from './bpf-object.ts';
import type { Row } from './events-out.ts';
import { inodeKey } from './file-identity.ts';

const decodeExec = ringDecoder(exec);
const decodeExit = ringDecoder(exit);

/** Undefined for what is no exec of ours. `bootOffsetNs` turns the boot clock into wall-clock time. */
export function decodeExecRecord(record: DataView, bootOffsetNs: bigint): Row<'exec'> | undefined {
  const head = readRecordHead(record);
  const row = head?.type === exec.id ? decodeExec(record) : undefined;
  if (head === undefined || row === undefined) return undefined;
  const ts = head.bootNs + bootOffsetNs;
  if (ts < 0n || ts > NUMBER_FORMATS.time.max) return undefined;
  return Object.assign(row, { ts, cpu: head.cpu, cpu_seq: head.seq });
}

/** Without its placement; undefined for what is no exit. `ts` is its wall-clock time. */
export function decodeExitRecord(record: DataView, ts: bigint): Row<'exit'> | undefined {
  const head = readRecordHead(record);
  const row = head?.type === exit.id ? decodeExit(record) : undefined;
  return head === undefined || row === undefined
    ? undefined
    : Object.assign(row, { ts, cpu: head.cpu, cpu_seq: head.seq });
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
  // Mostly it is gone, and an iterator waits for a millisecond.
  if (!isThere(row.pid)) return false;
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

/** Whether some process has this id: kill(2) with no signal. EPERM says so too. */
function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
