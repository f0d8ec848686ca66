/** What is told of one at a time: an exec, its script, a mapped file. Each says how its bytes can still be had. */
import type { DigestReason, ScriptEvidence } from '@bintrail/schemas/digest-words.ts';
import type { RowOf } from '@bintrail/schemas/field.ts';
import { flagBit, withFlag } from '@bintrail/schemas/flags.ts';
import type { mapping } from '@bintrail/schemas/mapping.ts';
import type { EventsOut, Row } from './events-out.ts';
import type { Step } from './exec-steps.ts';
import type { FileState } from './file-identity.ts';
import { isLocalMagic, isRemoteMagic } from './mounts.ts';
import type { ObserverOptions } from './observer.ts';
import { type Place, placementOf } from './origins.ts';
import { NO_PACKAGE } from './packages.ts';
import type { Evidence } from './reading.ts';
import type { RuntimeSetup, SetupAnswer } from './runtime-setup.ts';
import { STREAM } from './streams.ts';
import { NO_WRITER } from './writers.ts';

/** A row on its way out, and what is needed to say what its file was. */
export type Subject = {
  readonly event: 'exec' | 'load';
  readonly row: Row<'exec'> | Row<'load'>;
  readonly file: FileState;
  readonly place: Place;
  /** Whether a runtime started it to set a container up, as far as its file tells. */
  readonly isSetup: SetupAnswer;
  /** When the file was as it is described. */
  readonly tsNs: bigint;
  /** The process that ran it, or one of those, and its mount namespace. */
  readonly pid: number;
  readonly mountNs: number;
  /** Whether nobody could write to it since then: a program that runs, on kernels that deny that. */
  readonly stillRuns: () => boolean;
  /** Whether it is worth being asked for once more. */
  readonly isThere: () => boolean;
  /** Has it read now; returns why it cannot be. */
  readonly offer: () => DigestReason | undefined;
  readonly sinceNs: bigint;
  sent: boolean;
  settled: boolean;
};

/** One that was mapped, or several of the same: `row.ts` is the last of them, and `atNs` is not after the first. */
export type Mapped = {
  readonly record: RowOf<typeof mapping>;
  readonly row: Row<'load'>;
  readonly place: Place;
  readonly atNs: bigint;
};

const MEMFD = flagBit('memfd');
const FINE_CTIME = flagBit('fine_ctime');

type Options = Pick<
  ObserverOptions,
  'pipeline' | 'overloaded' | 'stillRuns' | 'opened' | 'nextSeq' | 'steps' | 'markUnseen' | 'setup'
>;

type Executed = Pick<Subject, 'place' | 'isSetup'> & { readonly row: Row<'exec'> };

export function execSubject(options: Options, { row, place, isSetup }: Executed, nowNs: bigint): Subject {
  const stillRuns = () => options.stillRuns(row);
  const offer = () => {
    if (isRemoteMagic(row.fs_magic)) return 'remote_fs';
    options.markUnseen(row);
    const failure = options.pipeline.offerRunning(row.pid, row, row.path);
    return failure && explainMissing(row, options.overloaded() ? 'overload' : failure);
  };
  return {
    ...{ event: 'exec', row, place, isSetup, file: row, tsNs: row.ts, pid: row.pid, mountNs: row.mnt_ns },
    ...{ sinceNs: nowNs, sent: false, settled: false },
    ...{ stillRuns, isThere: stillRuns, offer },
  };
}

/** Nobody denies writing to a mapped file: never `alive`. */
export function mappedSubject(
  { pipeline, setup }: Options,
  { record, row, place, atNs }: Mapped,
  nowNs: bigint,
): Subject {
  const offer = () => {
    if (isRemoteMagic(record.fs_magic)) return 'remote_fs';
    const failure = pipeline.offerMapped(record.pid, record.from_address, record.to_address, record, record.path);
    return failure && explainMissing(record, failure);
  };
  const isSetup = setup.mayBe(place.containerId, record.mnt_ns) && (() => setup.isNoted(record));
  return {
    ...{ event: 'load', row, place, isSetup, file: record, tsNs: atNs, pid: record.pid, mountNs: record.mnt_ns },
    ...{ sinceNs: nowNs, sent: false, settled: false },
    ...{ stillRuns: () => false, isThere: () => true, offer },
  };
}

/**
 * The scripts behind an interpreter, in the order in which the kernel went through them; without the lsm family the one
 * that was given, by the descriptor handed over for it. Its state was taken after our own fstat, which made its ctime
 * fine-grained: that says nothing of the time before, so the flag is dropped.
 */
export function scriptSubjects(options: Options, of: Omit<Executed, 'isSetup'>, nowNs: bigint): Subject[] {
  const { row: exec } = of;
  const steps = options.steps?.scripts(exec) ?? [];
  if (steps.length > 0) return steps.map((step) => scriptSubject(options, of, nowNs, step, step.state));
  const found = options.opened.script(exec.pid, exec.filename, exec.ts);
  const { state, path } = found ?? { state: UNSEEN_FILE, path: absolutePath(exec.filename, exec.cwd) };
  return [scriptSubject(options, of, nowNs, { state, path }, { ...state, flags: (state.flags & ~FINE_CTIME) >>> 0 })];
}

function scriptSubject(
  options: Options,
  { row: exec, place }: Omit<Executed, 'isSetup'>,
  nowNs: bigint,
  { state, path }: Step,
  file: FileState,
): Subject {
  const row = scriptRow(options, exec, place, { state, path }, 'executed');
  const offer = () => (options.overloaded() ? 'overload' : unmarkedReason(file));
  return { ...ofScript(row, exec, place, nowNs), file, tsNs: exec.ts, isThere: () => false, offer };
}

/** The interpreter that runs a script. */
export type ScriptRunner = Pick<Row<'exec'>, 'pid' | 'self_exec_id' | 'start_ns' | 'uid' | 'ts' | 'mnt_ns' | 'path'>;

/** A script that its interpreter read, or was told to, by itself. */
export type ReadScript = Step & {
  readonly runner: ScriptRunner;
  readonly place: Place;
  readonly evidence: ScriptEvidence;
  /** When the file was as `state` says. */
  readonly stateNs: bigint;
  /** Its descriptor there, as far as that is known. */
  readonly fd: number | undefined;
};

export function readScriptSubject(options: Options, script: ReadScript, nowNs: bigint): Subject {
  const { runner, place, state, path, evidence, stateNs, fd } = script;
  const offer = () => {
    if (isRemoteMagic(state.fs_magic)) return 'remote_fs';
    const failure = options.pipeline.offerOpen(runner.pid, fd, state, path);
    return failure && explainMissing(state, failure);
  };
  const row = scriptRow(options, runner, place, script, evidence);
  return { ...ofScript(row, runner, place, nowNs), file: state, tsNs: stateNs, isThere: () => true, offer };
}

function scriptRow(
  { nextSeq }: Options,
  { pid, self_exec_id, start_ns, uid, ts, path: parent_path }: ScriptRunner,
  place: Place,
  { state, path }: Step,
  script_evidence: ScriptEvidence,
): Row<'load'> {
  return {
    ...state,
    ...{ pid, self_exec_id, start_ns, uid, ts, ...placementOf(place) },
    ...{ stream: STREAM.load, seq: nextSeq(STREAM.load), role: 'script', repeats: 0, script_evidence },
    ...{ path, parent_path, ...NOTHING_KNOWN },
  };
}

/** Nobody denies writing to a running script: never `alive`. */
function ofScript(
  row: Row<'load'>,
  { pid, mnt_ns: mountNs }: ScriptRunner,
  place: Place,
  sinceNs: bigint,
): Omit<Subject, 'file' | 'tsNs' | 'isThere' | 'offer'> {
  const stillRuns = () => false;
  return { event: 'load', row, place, isSetup: false, pid, mountNs, sinceNs, sent: false, settled: false, stillRuns };
}

/** The columns of what is not known yet. */
export const NOTHING_KNOWN = {
  sha256: '',
  digest_source: '',
  digest_strength: '',
  digest_reason: '',
  ...NO_PACKAGE,
  ...NO_WRITER,
  writer_path: '',
} as const;

const UNSEEN_FILE: FileState = {
  dev: 0,
  generation: 0,
  ino: 0n,
  ctime_ns: 0n,
  mtime_ns: 0n,
  size: 0n,
  nlink: 0,
  writecount: 0,
  fs_magic: 0,
  flags: 0,
};

const RUNTIME_SETUP = flagBit('runtime_setup');

/** Completes a row that nobody has seen yet: from here on its keys stay as they are. */
export function seal(subject: Subject, evidence: Evidence, setup: Pick<RuntimeSetup, 'note'>): void {
  Object.assign(subject.row, placementOf(subject.place));
  if (typeof subject.isSetup === 'function' ? subject.isSetup(evidence) : subject.isSetup) {
    subject.row.flags = withFlag(subject.row.flags, RUNTIME_SETUP);
    if (subject.event === 'exec') setup.note(subject.row);
  }
}

export function send(out: EventsOut, subject: Subject): void {
  if (subject.event === 'exec') out.add('exec', subject.row as Row<'exec'>);
  else out.add('load', subject.row as Row<'load'>);
}

const PROGRAM = { role: 'exec', repeats: 0 };

export function digestRow(subject: Subject, nowNs: bigint, seq: bigint): Row<'digest'> {
  const { pid, self_exec_id, start_ns, ts, uid, flags, path, parent_path, workload, container_id, image } = subject.row;
  const { sha256, digest_source, digest_strength, digest_reason } = subject.row;
  const { package: name, package_version, package_match, package_algorithm } = subject.row;
  const { writer_pid, writer_start_ns, writer_self_exec_id, written_ns, writer_path } = subject.row;
  const { role, repeats } = subject.event === 'exec' ? PROGRAM : (subject.row as Row<'load'>);
  return {
    ...{ pid, self_exec_id, start_ns, uid, flags, path, parent_path, workload, container_id, image },
    ...{
      role,
      repeats,
      sha256,
      digest_source,
      digest_strength,
      digest_reason,
      package: name,
      package_version,
      package_match,
    },
    ...{ writer_pid, writer_start_ns, writer_self_exec_id, written_ns, writer_path, package_algorithm },
    ts: nowNs,
    event_ts: ts,
    stream: STREAM.digest,
    seq,
  };
}

function explainMissing(file: FileState, failure: DigestReason): DigestReason {
  return isLocalMagic(file.fs_magic) || file.flags & MEMFD ? failure : 'unmarked_fs';
}

function unmarkedReason(file: FileState): DigestReason {
  return isRemoteMagic(file.fs_magic) ? 'remote_fs' : 'unmarked_fs';
}

function absolutePath(filename: string, cwd: string): string {
  return filename.startsWith('/') ? filename : `${cwd}/${filename.replace(/^\.\//, '')}`;
}
