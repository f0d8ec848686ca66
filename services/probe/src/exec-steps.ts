/**
 * What BPF trampolines and LSM hooks add to an exec (bpf/lsm.bpf.c): each file on the way to the program, by the kernel's
 * own hand, and IMA's digest of the program. All of it is in the ring before the exec itself is announced.
 */
import { release } from 'node:os';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { createLru } from '@bintrail/runtime/lru.ts';
import { collectLibbpfWarnings, isNull, type Libbpf, type Libc, lastErrno, type Pointer } from './ffi.ts';
import { type FileState, readFileState } from './file-identity.ts';
import type { ImageId } from './image-table.ts';
import { emptyBuffer, openRecordBuffer, type RecordBuffer, recordView } from './record-buffer.ts';
import { openRing, type Ring } from './ring.ts';

/** A file that was handed to an interpreter, as it was at that moment. */
export type Step = { readonly state: FileState; readonly path: string };

/** `sha256` is latin1, of the file in this state. */
export type Measured = { readonly state: FileState; readonly sha256: string };

export type ExecSteps = {
  /** Takes in what the ring holds: call it after the ring of execs was read. */
  readonly drain: () => void;
  /** The scripts of this exec, from the one it was given on; none for a program, or when they were lost. */
  readonly scripts: (exec: ImageId) => readonly Step[];
  /** IMA's digest of the program of this exec, where its policy measures executions. */
  readonly measured: (exec: ImageId) => Measured | undefined;
  /** Steps the ring had no room for. */
  readonly lost: () => bigint;
  readonly attach: () => void;
  readonly detach: () => void;
  readonly close: () => void;
};

const HOOKS = ['on_step', 'on_committed'] as const;
const RING_BYTES = 1024 * 1024;
const MAX_RECORDS = 4_096;
/** Images whose steps are remembered: as many as the probe reads from the ring of execs at once. */
const MAX_IMAGES = 8_192;

/** struct step of bpf/lsm.bpf.c: image, kind u32, path_len u32, file, sha256[32], and the path. */
const KIND_AT = 16;
const PATH_LENGTH_AT = 20;
const FILE_AT = 24;
const DIGEST_AT = 80;
const STEP_BYTES = 112;
/** With the longest path (PATH_BYTES in bpf/path.h) and the ring's own header. */
const MAX_RECORD_BYTES = STEP_BYTES + 4_096 + 8;
const FIRST = 1;
const NEXT = 2;
const MEASURED = 3;

/** Throws SetupError with libbpf's words when the kernel refuses. */
export function openExecSteps(libbpf: Libbpf, libc: Libc, path: string): ExecSteps {
  const warnings: string[] = [];
  const stopCollecting = collectLibbpfWarnings(libbpf, libc, warnings);
  const object = libbpf.openFile(path, 0n) as Pointer;
  const links: Pointer[] = [];
  const refused = (what: string) => {
    const cause = `the kernel (${release()}) refused ${what}: errno ${lastErrno()}`;
    const remedy = 'use a kernel that allows BPF trampolines, or set BINTRAIL_HOOKS to auto or tracepoint';
    stopCollecting();
    if (!isNull(object)) libbpf.closeObject(object);
    return new SetupError([cause, ...warnings.slice(0, 4)].join('\n  '), remedy);
  };
  if (isNull(object) || Number(libbpf.load(object)) < 0) throw refused(path);
  const detach = () => {
    for (const link of links.splice(0).reverse()) libbpf.destroyLink(link);
  };
  const attach = () => {
    for (const name of HOOKS) {
      const link = libbpf.attach(libbpf.findProgram(object, name)) as Pointer;
      if (isNull(link)) throw refused(name);
      links.push(link);
    }
  };
  // A trampoline may also be refused only now: this must be known before a family is chosen.
  attach();
  detach();
  stopCollecting();
  const ring = openRing(libc, Number(libbpf.findMapFd(object, 'step_ring')), RING_BYTES);
  const lostFd = Number(libbpf.findMapFd(object, 'steps_lost'));
  const counts = new BigUint64Array(Number(libbpf.possibleCpus()));
  const table = createLateTable(ring);
  return {
    ...{ ...table, attach, detach },
    lost: () => {
      if (Number(libbpf.lookup(lostFd, new Uint32Array(1), counts)) < 0) {
        throw new Error(`reading steps_lost failed: errno ${lastErrno()}`);
      }
      return counts.reduce((sum, count) => sum + count, 0n);
    },
    close: () => {
      detach();
      ring.close();
      libbpf.closeObject(object);
    },
  };
}

/**
 * Hardly any step is asked for: they stay as they came until one is. The newest stay, as many as may be asked for.
 */
export function createLateTable(ring: Pick<Ring, 'drain'>): Pick<ExecSteps, 'drain' | 'scripts' | 'measured'> {
  const table = createStepTable();
  let [older, newer] = [openRecordBuffer(MAX_RECORDS, RING_BYTES), openRecordBuffer(MAX_RECORDS, RING_BYTES)];
  const drain = () => {
    for (ring.drain(newer); isFull(newer); ring.drain(newer)) {
      [older, newer] = [newer, older];
      emptyBuffer(newer);
    }
  };
  const lookThrough = () => {
    for (const records of [older, newer]) {
      for (let index = 0; index < records.count; index++) table.take(recordView(records, index));
      emptyBuffer(records);
    }
    return table;
  };
  return { drain, scripts: (exec) => lookThrough().scripts(exec), measured: (exec) => lookThrough().measured(exec) };
}

/** The largest record may not fit any more. */
function isFull({ count, usedBytes, starts, bytes }: RecordBuffer): boolean {
  return count === starts.length || bytes.length - usedBytes < MAX_RECORD_BYTES;
}

export type StepTable = Pick<ExecSteps, 'scripts' | 'measured'> & {
  /** Takes one record; false for what is none. */
  readonly take: (record: DataView) => boolean;
};

/** Steps by the image they led to. A failed exec leaves its own to the next of that process, whose first step ends them. */
export function createStepTable(): StepTable {
  const scripts = createLru<string, readonly Step[]>(MAX_IMAGES);
  /** Still as they came: there is one for every exec, and hardly any is asked for. */
  const measured = createLru<string, DataView>(MAX_IMAGES);
  return {
    take: (record) => {
      if (record.byteLength < STEP_BYTES) return false;
      const kind = record.getUint32(KIND_AT, true);
      const pathBytes = record.getUint32(PATH_LENGTH_AT, true);
      if (STEP_BYTES + pathBytes > record.byteLength) return false;
      const key = imageKey({
        start_ns: record.getBigUint64(0, true),
        pid: record.getUint32(8, true),
        self_exec_id: record.getUint32(12, true),
      });
      if (kind === MEASURED) measured.set(key, copyOf(record));
      else if (kind === FIRST) scripts.set(key, [readStep(record, pathBytes)]);
      else if (kind === NEXT) scripts.set(key, [...(scripts.touch(key) ?? []), readStep(record, pathBytes)]);
      return kind >= FIRST && kind <= MEASURED;
    },
    scripts: (exec) => scripts.touch(imageKey(exec)) ?? [],
    measured: (exec) => {
      const record = measured.get(imageKey(exec));
      if (record === undefined) return undefined;
      return { state: stateOf(record), sha256: latin1(record, DIGEST_AT, STEP_BYTES - DIGEST_AT) };
    },
  };
}

function copyOf({ buffer, byteOffset }: DataView): DataView {
  return new DataView(buffer.slice(byteOffset, byteOffset + STEP_BYTES));
}

function readStep(record: DataView, pathBytes: number): Step {
  return { state: stateOf(record), path: latin1(record, STEP_BYTES, pathBytes) };
}

function stateOf({ buffer, byteOffset }: DataView): FileState {
  return readFileState(new DataView(buffer, byteOffset + FILE_AT, DIGEST_AT - FILE_AT));
}

function latin1({ buffer, byteOffset }: DataView, at: number, bytes: number): string {
  return Buffer.from(buffer as ArrayBuffer, byteOffset + at, bytes).toString('latin1');
}

function imageKey({ pid, start_ns, self_exec_id }: ImageId): string {
  return `${pid}:${start_ns}:${self_exec_id}`;
}
