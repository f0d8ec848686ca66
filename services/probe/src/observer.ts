/**
 * Puts events together: what the kernel said, whose workload it was, and the digest of what ran. A row waits a moment
 * for its own digest and no other's; then it leaves as `pending`, and a digest event follows.
 */
import { type DigestStrength, STRONG } from '@bintrail/schemas/digest-words.ts';
import { flagBit, withFlag } from '@bintrail/schemas/flags.ts';
import type { Sighted } from './descriptors.ts';
import type { DigestPipeline } from './digest-pipeline.ts';
import type { EventsOut, Row } from './events-out.ts';
import type { ExecSteps } from './exec-steps.ts';
import type { ImageTable } from './image-table.ts';
import { type Installers, isInstaller } from './installers.ts';
import { type KnownFiles, packageRoot } from './known-files.ts';
import { type Origins, type Place, placementOf } from './origins.ts';
import { type Asked, NAMELESS, NO_PACKAGE, type PackageColumns } from './packages.ts';
import { type Evidence, evidenceFrom, evidenceFromIma, noDigest, type Reading } from './reading.ts';
import type { RuntimeSetup } from './runtime-setup.ts';
import type { OpenedByPid } from './scripts.ts';
import { STREAM } from './streams.ts';
import {
  digestRow,
  execSubject,
  type Mapped,
  mappedSubject,
  type ReadScript,
  readScriptSubject,
  type Subject,
  scriptSubjects,
  seal,
  send,
} from './subjects.ts';
import { addWriter, type DescribeWriter, type WriterOf } from './writers.ts';

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
  readonly setup: RuntimeSetup;
  /** Called with what was found out about a program that ran. */
  readonly onProgram: (row: Row<'exec'>, place: Place) => void;
  /** Called for a program that the kernel did not hand over. */
  readonly markUnseen: (row: Row<'exec'>) => void;
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
  /** Takes a file that was mapped for execution. */
  readonly onMapped: (mapped: Mapped, nowNs: bigint) => void;
  /** Takes a script that an interpreter read. */
  readonly onScript: (script: ReadScript, nowNs: bigint) => void;
  readonly onOpened: (sighted: Sighted) => void;
  /** Sends rows that have waited long enough, and gives up on digests that are overdue. */
  readonly sweep: (nowNs: bigint) => void;
  readonly waiting: () => number;
  /** Sends everything that still waits, for an orderly end: what has no digest by now is `pending` no longer. */
  readonly finish: () => void;
};

/** A row waits this long for its own digest. */
const WAIT_NS = 400_000_000n;
/** After this a digest that never came is given up with `timeout`: nothing stays pending for good. */
const GIVE_UP_NS = 30_000_000_000n;

const SCRIPT = flagBit('script');
const SNAPSHOT = flagBit('snapshot');
const REDACTED = flagBit('redacted_argv');

export function createObserver(options: ObserverOptions): Observer {
  const waiting = new Set<Subject>();

  const settle = (subject: Subject, evidence: Evidence, found: PackageColumns) => {
    if (subject.settled) return;
    subject.settled = true;
    Object.assign(subject.row, evidence, found);
    if (subject.event === 'exec') {
      if (isInstaller(subject.row)) options.installers.note(subject.row);
      options.onProgram(subject.row as Row<'exec'>, subject.place);
    }
    subject.place.whenSettled(() => {
      waiting.delete(subject);
      if (subject.sent)
        return options.out.add('digest', digestRow(subject, options.nowNs(), options.nextSeq(STREAM.digest)));
      seal(subject, evidence, options.setup);
      send(options.out, subject);
    });
  };
  const resolve = (subject: Subject, evidence: Evidence, reading: Reading | undefined) => {
    const { path, flags, container_id, image } = subject.row;
    const { file, tsNs, pid, mountNs } = subject;
    options
      .packagesOf({ path, flags, file, container_id, image, pid, mnt_ns: mountNs, tsNs }, evidence, reading)
      .then((found) => {
        note(options.files, subject, evidence, reading, found);
        settle(subject, evidence, found);
      })
      .catch(options.onFatal);
  };
  const onReading = (subject: Subject, reading: Reading) => {
    const evidence = evidenceFrom(subject, reading, options.tickNs, subject.stillRuns);
    const another = (later: Reading) => {
      const found = evidenceFrom(subject, later, options.tickNs, subject.stillRuns);
      if (STRONG.includes(found.digest_strength as DigestStrength)) resolve(subject, found, later);
      else resolve(subject, evidence, reading);
    };
    if (!isWorthAnother(subject, evidence, reading) || !readAgain(options.pipeline, subject, another)) {
      resolve(subject, evidence, reading);
    }
  };

  const begin = (subject: Subject) => {
    waiting.add(subject);
    const { file, row, place } = subject;
    if (subject.event === 'load') {
      Object.assign(row, options.writerOf(file));
      addWriter(options.describeWriter, row, place);
    }
    if (options.pipeline.whenRead(file, subject.pid, (reading) => onReading(subject, reading))) return;
    const known = options.pipeline.known(file, subject.pid);
    if (known !== undefined) return onReading(subject, known);
    const measured = measuredEvidence(options, subject);
    if (measured?.digest_strength === 'exact') return resolve(subject, measured, undefined);
    const failure = subject.offer();
    if (failure !== undefined) resolve(subject, measured ?? noDigest(failure), undefined);
    else options.pipeline.whenRead(file, subject.pid, (reading) => onReading(subject, reading));
  };

  const onExec = (row: Row<'exec'>, nowNs: bigint) => {
    const { place, isSetup } = enrich(options, row);
    if (row.flags & SNAPSHOT) {
      place.whenSettled(() => options.out.add('exec', { ...row, ...placementOf(place), ...noDigest('snapshot') }));
      return;
    }
    begin(execSubject(options, { row, place, isSetup }, nowNs));
    if (row.flags & SCRIPT) for (const script of scriptSubjects(options, { row, place }, nowNs)) begin(script);
  };
  const onMapped = (mapped: Mapped, nowNs: bigint) => begin(mappedSubject(options, mapped, nowNs));
  const onScript = (script: ReadScript, nowNs: bigint) => begin(readScriptSubject(options, script, nowNs));
  const sweep = (nowNs: bigint) => {
    for (const subject of waiting) {
      const age = nowNs - subject.sinceNs;
      if (age > GIVE_UP_NS) settle(subject, noDigest('timeout'), NO_PACKAGE);
      else if (age > WAIT_NS && !subject.sent && !subject.settled && subject.place.isSettled) {
        const pending = noDigest('pending');
        seal(subject, pending, options.setup);
        send(options.out, { ...subject, row: { ...subject.row, ...pending } as Subject['row'] });
        subject.sent = true;
      }
    }
  };
  const finish = () => {
    for (const subject of waiting) settle(subject, noDigest('timeout'), NO_PACKAGE);
  };
  return { onExec, onMapped, onScript, onOpened: options.opened.remember, sweep, finish, waiting: () => waiting.size };
}

/**
 * The reader is often faster than execve: what it read before the event proves nothing of a file that had just changed,
 * but one that still runs, or is mapped, can be read once more.
 */
function isWorthAnother(subject: Subject, { digest_strength, digest_reason }: Evidence, reading: Reading): boolean {
  const isUnsure = digest_strength === 'racy' || digest_strength === 'metadata' || digest_reason === 'changed';
  return isUnsure && reading.startedNs < subject.tsNs && subject.isThere();
}

function readAgain(pipeline: DigestPipeline, subject: Subject, callback: (reading: Reading) => void): boolean {
  return subject.offer() === undefined && pipeline.whenRead(subject.file, subject.pid, callback);
}

/** Adds what user space knows: whose it is, the parent's path, and arguments fit to leave the machine. */
function enrich({ origins, images, redact, setup, describeWriter }: ObserverOptions, row: Row<'exec'>) {
  const place = origins.placeOfPath(row.cgroup_path);
  const parent = images.find({
    pid: row.parent_pid,
    start_ns: row.parent_start_ns,
    self_exec_id: row.parent_self_exec_id,
  });
  const { argv, redacted } = redact(row.argv);
  Object.assign(row, placementOf(place));
  row.parent_path = parent?.program.path ?? '';
  row.argv = argv;
  addWriter(describeWriter, row, place);
  if (redacted) row.flags = withFlag(row.flags, REDACTED);
  const isSetup = setup.isSetup(row, place.containerId, parent);
  if (isSetup === true) setup.note(row);
  images.remember(row, { program: origins.programOfPath(row.path), place });
  return { place, isSetup };
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

/** IMA's digest of the program, for those of which nobody else has one. */
function measuredEvidence({ steps }: ObserverOptions, { event, row, file }: Subject): Evidence | undefined {
  const measured = event === 'exec' ? steps?.measured(row) : undefined;
  return measured && evidenceFromIma(file, measured);
}
