/**
 * The short way of an exec, from its record straight into columns: for a file whose digest is known to hold for this very
 * exec by arithmetic alone. Everything else takes the long way, by way of the observer.
 */
import { type BatchColumns, numberCells, putText, reserveRow, textCells } from '@bintrail/schemas/batch-columns.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { type Offset, type RingColumns, ringColumns, wallClock } from '@bintrail/schemas/ring-columns.ts';
import { latin1, type Text } from '@bintrail/schemas/text-table.ts';
import type { ArgvRedactor } from './argv-redactor.ts';
import type { Bell } from './bell.ts';
import type { EventsOut } from './events-out.ts';
import { type ImageTable, imageIdAt, imageWords } from './image-table.ts';
import type { Installers } from './installers.ts';
import {
  answerOf,
  type KnownFile,
  type KnownFiles,
  type PackageTexts,
  packageRoot,
  type TimeWords,
} from './known-files.ts';
import type { ObserverOptions } from './observer.ts';
import type { Origins, Place, Program } from './origins.ts';
import { type Asked, NAMELESS } from './packages.ts';
import { evidenceFrom } from './reading.ts';
import type { RecordBuffer } from './record-buffer.ts';
import { createRecordTexts, type RecordTexts } from './record-texts.ts';
import type { RuntimeSetup } from './runtime-setup.ts';
import { type DescribeWriter, DROPPED, type Written } from './writers.ts';

export type ExecColumnsOptions = {
  readonly out: EventsOut;
  readonly origins: Origins;
  readonly images: ImageTable;
  readonly files: KnownFiles;
  readonly redactor: ArgvRedactor;
  readonly installers: Installers;
  readonly describeWriter: DescribeWriter;
  readonly setup: Pick<RuntimeSetup, 'mayBe'>;
  readonly packagesOf: ObserverOptions['packagesOf'];
  /** Tells the kernel of a program that can wait for others (bell.ts). */
  readonly noteKnown: Bell['noteKnown'];
  readonly nowNs: () => bigint;
  readonly onFatal: (error: unknown) => void;
};

/**
 * Takes the record at this index; false when it must take the long way, and nothing was done. `mustBeKnown`: nor is one
 * taken whose parent is not known.
 */
export type TakeExec = (
  records: RecordBuffer,
  index: number,
  offset: Offset,
  nowMs: number,
  mustBeKnown: boolean,
) => boolean;

/** How long an answer of the package database holds, and from when on it is asked anew meanwhile. */
const ANSWER_MS = 2_500;
const ASK_AGAIN_MS = 1_250;

/** The kernel may forget what it was told. */
const TELL_AGAIN_MS = 60_000;

const SPECIAL = flagBit('snapshot') | flagBit('script');
const FINE_CTIME = flagBit('fine_ctime');
const REDACTED = flagBit('redacted_argv');
/** Long before, or unseen: nearly every exec. */
const NOT_WRITTEN: Written = { program: undefined, dropped: false };

export function createExecColumns(options: ExecColumnsOptions): TakeExec {
  const { out, origins, images, files, redactor, setup, describeWriter } = options;
  const columns = out.columns('exec');
  const ring = ringColumns(columns);
  const texts = createRecordTexts(ring.layout, columns, redactor.raw, (path) => origins.programOf(path).lastTexts);
  const write = createWriter(options, columns, ring, texts);
  const [pathAt, cgroupAt] = [texts.position('path'), texts.position('cgroup_path')];
  const wordsOf = ['dev', 'flags', 'writecount', 'pid', 'mnt_ns'].map(ring.wordOf);
  const [identityWord, flagsWord, writersWord, pidWord, mountNsWord] = wordsOf as [
    number,
    number,
    number,
    number,
    number,
  ];
  const parentWords = imageWords(ring, ['parent_pid', 'parent_start_ns', 'parent_self_exec_id']);
  const writerWords = imageWords(ring, ['writer_pid', 'writer_start_ns', 'writer_self_exec_id']);

  const packagesFor = (file: KnownFile, asker: Asker, nowMs: number): PackageTexts | undefined => {
    const { containerId, mountNs } = packageRoot(asker.container_id, asker.mnt_ns);
    const answer = answerOf(file, containerId, mountNs);
    const ageMs = answer === undefined ? 0 : nowMs - answer.answeredAtMs;
    if (answer?.texts === undefined || ageMs > ANSWER_MS) return undefined;
    if (ageMs > ASK_AGAIN_MS && !answer.asking) {
      answer.asking = true;
      askAgain(options, file, asker);
    }
    return answer.texts;
  };
  return (records, index, offset, nowMs, mustBeKnown) => {
    const word = records.starts[index]! >>> 2;
    if (!texts.read(records, index)) return false;
    const flags = records.words[word + flagsWord]!;
    if (flags & SPECIAL || (records.words[word + writersWord]! | 0) > 0) return false;
    const file = files.find(records.words, word + identityWord, texts.found[pathAt]!);
    if (file === undefined) return false;
    const time = wallClock(records, word, offset);
    if (!isExact(file, time, flags)) return false;
    const place = origins.placeOf(texts.found[cgroupAt]!);
    if (!place.isSettled) return false;
    const [pid, mnt_ns] = [records.words[word + pidWord]!, records.words[word + mountNsWord]!];
    const asker = { pid, mnt_ns, container_id: place.containerId };
    if (setup.mayBe(place.containerId, mnt_ns)) return false;
    const packages = flags & NAMELESS ? files.noPackage : packagesFor(file, asker, nowMs);
    if (packages === undefined) return false;
    const parent = images.programOf(records.words, word, parentWords);
    if (parent === undefined && mustBeKnown) return false;
    const isWritten = records.words[word + writerWords.pid] !== 0;
    const written = isWritten ? describeWriter(imageIdAt(records.words, word, writerWords), place) : NOT_WRITTEN;
    write(records, word, { time, flags, file, place, packages, parent, written });
    out.added('exec');
    if (isToBeTold(file, mnt_ns, nowMs)) options.noteKnown(records.words, word + identityWord, mnt_ns);
    return true;
  };
}

/** Whether the kernel does not know yet, or not any more, that this program can wait. */
function isToBeTold(file: KnownFile, mountNs: number, nowMs: number): boolean {
  if (nowMs - file.canWaitSinceMs > TELL_AGAIN_MS) {
    file.canWaitIn.clear();
    file.canWaitSinceMs = nowMs;
  }
  if (file.canWaitIn.has(mountNs)) return false;
  file.canWaitIn.add(mountNs);
  return true;
}

/** Whose exec it is that is asked for. */
type Asker = Pick<Asked, 'pid' | 'mnt_ns' | 'container_id'>;

/** As for an exec of this very moment, so that the answer is there before the old one has lost its worth. */
function askAgain({ files, packagesOf, nowNs, onFatal }: ExecColumnsOptions, file: KnownFile, asker: Asker): void {
  const { reading } = file;
  const executed = { file: reading.before, tsNs: nowNs(), pid: asker.pid };
  const path = latin1(file.path);
  const evidence = evidenceFrom(executed, reading, 0n, () => false);
  const flags = reading.before.flags & ~NAMELESS;
  packagesOf({ ...executed, ...asker, path, flags, image: '' }, evidence, reading)
    .then((columns) => files.answer(file, { root: packageRoot(asker.container_id, asker.mnt_ns), columns }))
    .catch(onFatal);
}

/**
 * The rules of `evidenceFrom` for an exec of the very state that was read: `exact` with the source `cache`. Nobody could
 * write when it was read (`isCacheable`) nor now, and any change in between would have given it another ctime.
 */
function isExact(file: KnownFile, time: TimeWords, flags: number): boolean {
  if (time.high >= 0x8000_0000) return false;
  return isAfter(time, file.readAt) && ((flags & FINE_CTIME) !== 0 || !isAfter(file.settledAt, time));
}

function isAfter(a: TimeWords, b: TimeWords): boolean {
  return a.high > b.high || (a.high === b.high && a.low > b.low);
}

type Facts = {
  readonly time: TimeWords;
  readonly flags: number;
  readonly file: KnownFile;
  readonly place: Place;
  readonly packages: PackageTexts;
  readonly parent: Program | undefined;
  readonly written: Written;
};

type Write = (records: RecordBuffer, word: number, facts: Facts) => void;

function createWriter(
  { origins, images, redactor, installers }: ExecColumnsOptions,
  columns: BatchColumns,
  ring: RingColumns,
  texts: RecordTexts,
): Write {
  const flagCells = numberCells(columns, 'flags');
  const [pathAt, argvAt] = [texts.position('path'), texts.position('argv')];
  const cells = (name: string) => textCells(columns, name);
  const [argv, parentPath, writerPath, workload, container, image] = [
    cells('argv'),
    cells('parent_path'),
    cells('writer_path'),
    cells('workload'),
    cells('container_id'),
    cells('image'),
  ];
  const [sha256, name, version] = [cells('sha256'), cells('package'), cells('package_version')];
  const [match, algorithm] = [cells('package_match'), cells('package_algorithm')];
  const constants = [...constantText(columns, { digest_source: 'cache', digest_strength: 'exact', digest_reason: '' })];
  const noParent: Text = parentPath.table.internLatin1('');
  const noWriter: Text = writerPath.table.internLatin1('');
  const self = imageWords(ring, ['pid', 'start_ns', 'self_exec_id']);

  return (records, word, { time, flags, file, place, packages, parent, written }) => {
    const row = reserveRow(columns);
    const fit = redactor.fit(texts.found[argvAt]!);
    ring.copyNumbers(records, word, row, time);
    flagCells.words[row] = flags | (fit.redacted ? REDACTED : 0) | (written.dropped ? DROPPED : 0);
    texts.put(row);
    putText(argv, row, fit.argv);
    putText(parentPath, row, parent?.asParent ?? noParent);
    putText(writerPath, row, written.program?.asWriter ?? noWriter);
    putText(workload, row, place.inExec.workload);
    putText(container, row, place.inExec.containerId);
    putText(image, row, place.inExec.image);
    putText(sha256, row, file.sha256);
    putText(name, row, packages.name);
    putText(version, row, packages.version);
    putText(match, row, packages.match);
    putText(algorithm, row, packages.algorithm);
    for (let index = 0; index < constants.length; index++) {
      putText(constants[index]!.cells, row, constants[index]!.text);
    }
    images.rememberWords(records.words, word, self, origins.programOf(texts.found[pathAt]!), place);
    if (packages.isInstaller) installers.note(imageIdAt(records.words, word, self));
    columns.rows += 1;
  };
}

function constantText(columns: BatchColumns, values: Readonly<Record<string, string>>) {
  return Object.entries(values).map(([name, value]) => {
    const cells = textCells(columns, name);
    return { cells, text: cells.table.internLatin1(value) };
  });
}
