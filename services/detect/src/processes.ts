/** Which program images ran, as far as their exec rows have passed: where arguments and ancestors come from. */

import { createLru, type Lru } from '@bintrail/runtime/lru.ts';
import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import { formatExecId } from '@bintrail/schemas/exec-id.ts';
import { bigAt, numberAt, textAt } from '@bintrail/schemas/row.ts';
import { readTexts } from './column-reader.ts';

/** `path` and `cwd` are printable text. */
export type Process = {
  readonly exec_id: string;
  /** '' when it had none: pid 1 and kernel threads. */
  readonly parent_exec_id: string;
  readonly pid: number;
  readonly ppid: number;
  readonly uid: number;
  readonly path: string;
  readonly cwd: string;
  /** As the row has it: few are ever shown. Cut after {@link MAX_ARGV_BYTES}. */
  readonly argv: string;
};

export type ProcessIndex = Lru<string, Process>;

/**
 * About 0.5 KB an image, 32 MB when full; at 1,000 execs/s the last minute, and beyond that every image that keeps
 * starting others. It is filled from the bus alone and empty after a restart: the execs of before come back when the
 * probe starts (snapshot rows), and until then ancestors end where the index does.
 */
const MAX_PROCESSES = 65_536;
/** Of an ancestor, and of the interpreter that runs a script. */
const MAX_ARGV_BYTES = 1024;
/** Longer chains are programs that start themselves over and over. */
const MAX_ANCESTORS = 32;

export function createProcessIndex(capacity = MAX_PROCESSES): ProcessIndex {
  return createLru(capacity);
}

/** The images that the exec rows of a message start, snapshot and pending rows too. */
export function processesOf(batch: Batch): Process[] {
  const path = readTexts(batch, 'path');
  const cwd = readTexts(batch, 'cwd');
  return Array.from({ length: batch.rows }, (_, row) => ({
    exec_id: execIdAt(batch, row),
    parent_exec_id: relatedExecId(batch, 'parent', row),
    pid: numberAt(batch, 'pid', row),
    ppid: numberAt(batch, 'ppid', row),
    uid: numberAt(batch, 'uid', row),
    path: path.at(row),
    cwd: cwd.at(row),
    argv: textAt(batch, 'argv', row).slice(0, MAX_ARGV_BYTES),
  }));
}

/** The image a row of any event with an exec identity belongs to. */
export function execIdAt(batch: Batch, row: number): string {
  return formatExecId({
    boot: batch.boot,
    pid: numberAt(batch, 'pid', row),
    startNs: bigAt(batch, 'start_ns', row),
    selfExecId: numberAt(batch, 'self_exec_id', row),
  });
}

/** The image that other columns of the row name; '' where they name none. */
export function relatedExecId(batch: Batch, whose: 'parent' | 'writer', row: number): string {
  const pid = numberAt(batch, `${whose}_pid`, row);
  if (pid === 0) return '';
  const selfExecId = numberAt(batch, `${whose}_self_exec_id`, row);
  return formatExecId({ boot: batch.boot, pid, startNs: bigAt(batch, `${whose}_start_ns`, row), selfExecId });
}

/** Nearest first, until one is not known; broken records that go round in a circle are walked once. */
export function ancestorsOf(child: Process, find: (execId: string) => Process | undefined): Process[] {
  const chain = new Set([child]);
  let next = find(child.parent_exec_id);
  while (next !== undefined && !chain.has(next) && chain.size <= MAX_ANCESTORS) {
    chain.add(next);
    next = find(next.parent_exec_id);
  }
  return [...chain].slice(1);
}

/** Adds images, and keeps those that started them: a shell that runs a million programs must not be forgotten. */
export function learn(index: ProcessIndex, processes: Iterable<Process>): void {
  const parents = new Set<string>();
  for (const process of processes) {
    index.set(process.exec_id, process);
    parents.add(process.parent_exec_id);
  }
  for (const parent of parents) {
    let next = index.touch(parent);
    for (let depth = 0; next !== undefined && depth < MAX_ANCESTORS; depth++) next = index.touch(next.parent_exec_id);
  }
}
