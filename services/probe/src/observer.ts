/**
 * Puts events together: what the kernel said, whose workload it was, and the digest of what ran. A row waits a moment
 * for its own digest and no other's; then it leaves as `pending`, and a digest event follows.
 */
import { type DigestReason, type DigestStrength, STRONG } from '@bintrail/schemas/digest-words.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import type { Sighted } from './descriptors.ts';
import type { DigestPipeline } from './digest-pipeline.ts';
import type { EventsOut, Row } from './events-out.ts';
import type { ExecSteps, Step } from './exec-steps.ts';
import type { FileState } from './file-identity.ts';
import type { ImageTable } from './image-table.ts';
import { type Installers, isInstaller } from './installers.ts';
import { type KnownFiles, packageRoot } from './known-files.ts';
import { isLocalMagic, isRemoteMagic } from './mounts.ts';
import type { Origins } from './origins.ts';
import { type Asked, NAMELESS, NO_PACKAGE, type PackageColumns } from './packages.ts';
import { type Evidence, evidenceFrom, evidenceFromIma, noDigest, type Reading } from './reading.ts';
import type { OpenedByPid } from './scripts.ts';
import { addWriter, type DescribeWriter, NO_WRITER, type WriterOf } from './writers.ts';

export type ObserverOptions = {
  readonly pipeline: DigestPipeline;
  readonly out: EventsOut;
  readonly images: ImageTable;
  readonly opened: OpenedByPid;
  /** What the lsm family of hooks adds to an exec; undefined where the kernel refuses it. */
  readonly steps: Pick<ExecSteps, 'scripts' | 'measured'> | undefined;
  readonly tickNs: bigint;
  readonly origins: Origins;
  /** Where readings are noted that answer for later execs. */
  readonly files: KnownFiles;
  readonly installers: Installers;
  readonly describeWriter: DescribeWriter;
  /** Who wrote a file that something loads. */
  readonly writerOf: WriterOf;
  readonly packagesOf: (asked: Asked, evidence: Evidence, reading: Reading | undefined) => Promise<PackageColumns>;
  readonly redact: (argv: string) => { argv: string; redacted: boolean };
  /** Whether this very program image is still running the file. */
  readonly stillRuns: (row: Row<'exec'>) => boolean;
  /** Whether the kernel has just dropped descriptors because its queue was full. */
  readonly overloaded: () => boolean;
  readonly nextSeq: (stream: number) => bigint;
  readonly nowNs: () => bigint;
  readonly onFatal: (error: unknown) => void;
};

export type Observer = {
  /** Takes a decoded exec whose `ts` is set. Snapshot rows are passed on without a digest. */
  readonly onExec: (row: Row<'exec'>, nowNs: bigint) => void;
  readonly onOpened: (sighted: Sighted) => void;
  /** Sends rows that have waited long enough, and gives up on digests that are overdue. */
  readonly sweep: (nowNs: bigint) => void;
  readonly waiting: () => number;
  /** Sends everything that still waits, for an orderly end: what has no digest by now is `pending` no longer. */
  readonly finish: () => void;
};

export const STREAM = { load: 0, digest: 1, loss: 2, heartbeat: 3, census: 4 } as const;

/** A row waits this long for its own digest. */
const WAIT_NS = 400_000_000n;
/** After this a digest that never came is given up with `timeout`: nothing stays pending for good. */
const GIVE_UP_NS = 30_000_000_000n;

const SCRIPT = flagBit('script');
const SNAPSHOT = flagBit('snapshot');
const MEMFD = flagBit('memfd');
const REDACTED = flagBit('redacted_argv');
const FINE_CTIME = flagBit('fine_ctime');

/** A row on its way out, and what is needed to say what its file was. */
type Subject = {
  readonly event: 'exec' | 'load';
  readonly row: Row<'exec'> | Row<'load'>;
  readonly file: FileState;
  readonly tsNs: bigint;
  /** Of the process that runs it. */
  readonly mountNs: number;
  readonly stillRuns: () => boolean;
  readonly sinceNs: bigint;
  sent: boolean;
  settled: boolean;
};

export function createObserver(options: ObserverOptions): Observer {
  const waiting = new Set<Subject>();

  const settle = (subject: Subject, evidence: Evidence, found: PackageColumns) => {
    if (subject.settled) return;
    subject.settled = true;
    waiting.delete(subject);
    Object.assign(subject.row, evidence, found);
    if (subject.event === 'exec' && isInstaller(subject.row)) options.installers.note(subject.row);
    if (!subject.sent) send(options.out, subject);
    else options.out.add('digest', digestRow(subject, options.nowNs(), options.nextSeq(STREAM.digest)));
  };
  const resolve = (subject: Subject, evidence: Evidence, reading: Reading | undefined) => {
    const { path, flags, container_id, image, pid } = subject.row;
    const { file, tsNs, mountNs } = subject;
    options
      .packagesOf({ path, flags, file, container_id, image, pid, mnt_ns: mountNs, tsNs }, evidence, reading)
      .then((found) => {
        note(options.files, subject, evidence, reading, found);
        settle(subject, evidence, found);
      })
      .catch(options.onFatal);
  };
  const onReading = (subject: Subject, reading: Reading) => {
    const executed = { file: subject.file, tsNs: subject.tsNs };
    const evidence = evidenceFrom(executed, reading, options.tickNs, subject.stillRuns);
    const another = (later: Reading) => {
      const found = evidenceFrom(executed, later, options.tickNs, subject.stillRuns);
      if (STRONG.includes(found.digest_strength as DigestStrength)) resolve(subject, found, later);
      else resolve(subject, evidence, reading);
    };
    if (!isWorthAnother(subject, evidence, reading) || !readAgain(options.pipeline, subject, another)) {
      resolve(subject, evidence, reading);
    }
  };

  const begin = (subject: Subject) => {
    waiting.add(subject);
    const { file, row } = subject;
    if (subject.event === 'load') {
      Object.assign(row, options.writerOf(file));
      const place = options.images.find(row)?.place;
      if (place !== undefined) addWriter(options.describeWriter, row, place);
    }
    if (options.pipeline.whenRead(file, (reading) => onReading(subject, reading))) return;
    const known = options.pipeline.known(file);
    if (known !== undefined) return onReading(subject, known);
    const measured = measuredEvidence(options, subject);
    if (measured !== undefined) return resolve(subject, measured, undefined);
    if (subject.event === 'load')
      return resolve(subject, noDigest(options.overloaded() ? 'overload' : unmarkedReason(file)), undefined);
    if (isRemoteMagic(file.fs_magic)) return resolve(subject, noDigest('remote_fs'), undefined);
    const failure = options.pipeline.offerRunning(subject.row.pid, file, subject.row.path);
    if (failure !== undefined)
      resolve(subject, noDigest(explainMissing(file, options.overloaded() ? 'overload' : failure)), undefined);
    else options.pipeline.whenRead(file, (reading) => onReading(subject, reading));
  };

  const onExec = (row: Row<'exec'>, nowNs: bigint) => {
    enrich(options, row);
    if (row.flags & SNAPSHOT) return options.out.add('exec', { ...row, ...noDigest('snapshot') });
    begin(execSubject(options, row, nowNs));
    if (row.flags & SCRIPT) for (const script of scriptSubjects(options, row, nowNs)) begin(script);
  };
  const sweep = (nowNs: bigint) => {
    for (const subject of waiting) {
      const age = nowNs - subject.sinceNs;
      if (age > GIVE_UP_NS) settle(subject, noDigest('timeout'), NO_PACKAGE);
      else if (age > WAIT_NS && !subject.sent) {
        subject.sent = true;
        send(options.out, { ...subject, row: { ...subject.row, ...noDigest('pending') } as Subject['row'] });
      }
    }
  };
  const finish = () => {
    for (const subject of waiting) settle(subject, noDigest('timeout'), NO_PACKAGE);
  };
  return { onExec, onOpened: options.opened.remember, sweep, finish, waiting: () => waiting.size };
}

/**
 * The reader is often faster than execve: what it read before the exec proves nothing of a file that had just changed,
 * but a program that still runs can be read once more.
 */
function isWorthAnother(subject: Subject, { digest_strength, digest_reason }: Evidence, reading: Reading): boolean {
  const isUnsure = digest_strength === 'racy' || digest_strength === 'metadata' || digest_reason === 'changed';
  return subject.event === 'exec' && isUnsure && reading.startedNs < subject.tsNs && subject.stillRuns();
}

function readAgain(pipeline: DigestPipeline, { row, file }: Subject, callback: (reading: Reading) => void): boolean {
  return pipeline.offerRunning(row.pid, file, row.path) === undefined && pipeline.whenRead(file, callback);
}

/** Adds what user space knows: the workload, the parent's path, and arguments fit to leave the machine. */
function enrich({ origins, images, redact, describeWriter }: ObserverOptions, row: Row<'exec'>): void {
  const place = origins.placeOfPath(row.cgroup_path);
  const parent = { pid: row.parent_pid, start_ns: row.parent_start_ns, self_exec_id: row.parent_self_exec_id };
  const { argv, redacted } = redact(row.argv);
  row.workload = place.workload;
  row.container_id = place.containerId;
  row.parent_path = images.find(parent)?.program.path ?? '';
  row.argv = argv;
  addWriter(describeWriter, row, place);
  if (redacted) row.flags |= REDACTED;
  images.remember(row, { program: origins.programOfPath(row.path), place });
}

/** Later execs of the very same file take the short way. */
function note(
  files: KnownFiles,
  { event, row, file, mountNs }: Subject,
  { digest_strength }: Evidence,
  reading: Reading | undefined,
  columns: PackageColumns,
): void {
  if (event !== 'exec' || reading === undefined || digest_strength !== 'exact') return;
  const wasAsked = !(row.flags & NAMELESS);
  const root = packageRoot(row.container_id, mountNs);
  files.remember(row.path, file, reading, wasAsked ? { root, columns } : undefined);
}

function execSubject(options: ObserverOptions, row: Row<'exec'>, nowNs: bigint): Subject {
  return {
    event: 'exec',
    row,
    file: row,
    tsNs: row.ts,
    mountNs: row.mnt_ns,
    stillRuns: () => options.stillRuns(row),
    sinceNs: nowNs,
    sent: false,
    settled: false,
  };
}

/** IMA's digest of the program, for those of which nobody else has one. */
function measuredEvidence({ steps }: ObserverOptions, { event, row, file }: Subject): Evidence | undefined {
  const measured = event === 'exec' ? steps?.measured(row) : undefined;
  return measured && evidenceFromIma(file, measured);
}

/**
 * The scripts behind an interpreter, in the order in which the kernel went through them; without the lsm family the one
 * that was given, by the descriptor handed over for it. Its state was taken after our own fstat, which made its ctime
 * fine-grained: that says nothing of the time before, so the flag is dropped.
 */
function scriptSubjects(options: ObserverOptions, exec: Row<'exec'>, nowNs: bigint): Subject[] {
  const steps = options.steps?.scripts(exec) ?? [];
  if (steps.length > 0) return steps.map((step) => scriptSubject(options, exec, nowNs, step, step.state));
  const found = options.opened.script(exec.pid, exec.filename, exec.ts);
  const { state, path } = found ?? { state: UNSEEN_FILE, path: absolutePath(exec.filename, exec.cwd) };
  return [scriptSubject(options, exec, nowNs, { state, path }, { ...state, flags: state.flags & ~FINE_CTIME })];
}

/** Nobody denies writing to a running script: never `alive`. */
function scriptSubject(
  options: ObserverOptions,
  exec: Row<'exec'>,
  nowNs: bigint,
  { state, path }: Step,
  file: FileState,
): Subject {
  const { pid, self_exec_id, start_ns, uid, workload, container_id, image, ts } = exec;
  const row: Row<'load'> = {
    ...state,
    ...{ pid, self_exec_id, start_ns, uid, workload, container_id, image, ts },
    stream: STREAM.load,
    seq: options.nextSeq(STREAM.load),
    role: 'script',
    path,
    parent_path: exec.path,
    sha256: '',
    digest_source: '',
    digest_strength: '',
    digest_reason: '',
    ...NO_PACKAGE,
    ...NO_WRITER,
    writer_path: '',
  };
  const about = { event: 'load', row, file, tsNs: ts, mountNs: exec.mnt_ns, sinceNs: nowNs } as const;
  return { ...about, stillRuns: () => false, sent: false, settled: false };
}

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

function send(out: EventsOut, subject: Subject): void {
  if (subject.event === 'exec') out.add('exec', subject.row as Row<'exec'>);
  else out.add('load', subject.row as Row<'load'>);
}

function digestRow(subject: Subject, nowNs: bigint, seq: bigint): Row<'digest'> {
  const { pid, self_exec_id, start_ns, ts, uid, flags, path, parent_path, workload, container_id, image } = subject.row;
  const { sha256, digest_source, digest_strength, digest_reason } = subject.row;
  const { package: name, package_version, package_match, package_algorithm } = subject.row;
  const { writer_pid, writer_start_ns, writer_self_exec_id, written_ns, writer_path } = subject.row;
  const role = subject.event === 'exec' ? 'exec' : (subject.row as Row<'load'>).role;
  return {
    ...{ pid, self_exec_id, start_ns, uid, flags, path, parent_path, workload, container_id, image, role },
    ...{ sha256, digest_source, digest_strength, digest_reason, package: name, package_version, package_match },
    ...{ writer_pid, writer_start_ns, writer_self_exec_id, written_ns, writer_path },
    package_algorithm,
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
