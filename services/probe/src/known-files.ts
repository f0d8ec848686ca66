/**
 * Files whose digest was read once and holds for every later exec of the very same state, with what the package database
 * says of them: an exec of one needs no reading, no waiting and no look-up.
 */
import { type BatchColumns, textCells } from '@bintrail/schemas/batch-columns.ts';
import { addEntry, countEntry, createEraTable } from '@bintrail/schemas/era-table.ts';
import { FILE_LAYOUT } from '@bintrail/schemas/layout.ts';
import { finishHash, mixHash, type Text } from '@bintrail/schemas/text-table.ts';
import type { FileState } from './file-identity.ts';
import { isInstallerPackage } from './installers.ts';
import { NO_PACKAGE, type PackageColumns } from './packages.ts';
import { isCacheable, type Reading } from './reading.ts';

/** What the package database said of one path and the bytes there. */
export type PackageTexts = {
  readonly name: Text;
  readonly version: Text;
  readonly match: Text;
  readonly isInstaller: boolean;
  readonly algorithm: Text;
};

/** Whose database is asked: that of a container, as one of its mount namespaces has it, or the host's (`''`, 0). */
export type PackageRoot = { readonly containerId: string; readonly mountNs: number };

export function packageRoot(containerId: string, mountNs: number): PackageRoot {
  return { containerId, mountNs: containerId === '' ? 0 : mountNs };
}

export type PackageAnswer = PackageRoot & {
  /** Undefined when it may be another the next time. */
  texts: PackageTexts | undefined;
  answeredAtMs: number;
  asking: boolean;
};

export type KnownFile = {
  readonly hash: number;
  next: KnownFile | undefined;
  era: number;
  /** Identity as a record has it. */
  readonly identity: Uint32Array;
  readonly path: Text;
  readonly reading: Reading;
  readonly sha256: Text;
  /** Words of the time when the reading began, and of the time from which on an exec of this state is `exact`. */
  readonly readAt: TimeWords;
  readonly settledAt: TimeWords;
  /** The last ones, one for each root: containers of one image share their files. */
  readonly answers: PackageAnswer[];
  /** Mount namespaces for which the kernel was told that it can wait, and since when these are noted. */
  readonly canWaitIn: Set<number>;
  canWaitSinceMs: number;
};

export type TimeWords = { readonly low: number; readonly high: number };

export type KnownFiles = {
  /** The file of this identity, which stands at a word of a record, and this path; undefined when it was never read. */
  readonly find: (words: Uint32Array, word: number, path: Text) => KnownFile | undefined;
  /** Notes a reading that gave an `exact` digest, if it may answer for others. `found`: undefined when nobody was asked. */
  readonly remember: (path: string, file: FileState, reading: Reading, found: Found | undefined) => void;
  readonly noPackage: PackageTexts;
  /** Notes a newer answer. */
  readonly answer: (file: KnownFile, found: Found) => void;
};

export type Found = { readonly root: PackageRoot; readonly columns: PackageColumns };

export function answerOf({ answers }: KnownFile, containerId: string, mountNs: number): PackageAnswer | undefined {
  return answers.find((answer) => answer.containerId === containerId && answer.mountNs === mountNs);
}

/** Words of the fields that make the identity: all before `nlink`. */
const IDENTITY = FILE_LAYOUT.numbers.slice(
  0,
  FILE_LAYOUT.numbers.findIndex(({ name }) => name === 'nlink'),
);
const IDENTITY_WORDS = FILE_LAYOUT.numbers[IDENTITY.length]!.offset / 4;
const ERA_FILES = 8_192;
/** Of one file: busy containers of one image that run it within ANSWER_MS of each other. */
const MAX_ANSWERS = 16;

export function createKnownFiles(exec: BatchColumns, tickNs: bigint): KnownFiles {
  const files = createEraTable<KnownFile>(ERA_FILES);
  const table = (name: string) => textCells(exec, name).table;
  const [paths, digests] = [table('path'), table('sha256')];
  const [names, versions, matches] = [table('package'), table('package_version'), table('package_match')];
  const algorithms = table('package_algorithm');

  const find: KnownFiles['find'] = (words, word, path) => {
    const hash = identityHash(words, word, path);
    for (let file = files.buckets[hash & files.mask]; file !== undefined; file = file.next) {
      if (file.hash !== hash || !sameText(file.path, path) || !sameIdentity(file.identity, words, word)) continue;
      if (file.era !== files.era) countEntry(files, file, 1);
      return file;
    }
    return undefined;
  };
  const textsOf = (found: PackageColumns): PackageTexts => ({
    name: names.internLatin1(found.package),
    version: versions.internLatin1(found.package_version),
    match: matches.internLatin1(found.package_match),
    isInstaller: isInstallerPackage(found.package, found.package_match),
    algorithm: algorithms.internLatin1(found.package_algorithm),
  });
  const answer: KnownFiles['answer'] = ({ answers, reading }, { root, columns }) => {
    const at = answers.findIndex((one) => one.containerId === root.containerId && one.mountNs === root.mountNs);
    if (at >= 0) answers.splice(at, 1);
    else if (answers.length === MAX_ANSWERS) answers.shift();
    const texts = isFinal(columns, reading) ? textsOf(columns) : undefined;
    answers.push({ ...root, texts, answeredAtMs: performance.now(), asking: false });
  };
  const remember: KnownFiles['remember'] = (path, state, reading, found) => {
    if (!isCacheable(reading, tickNs)) return;
    const identity = identityWords(state);
    const pathText = paths.internLatin1(path);
    let file = find(identity, 0, pathText);
    if (file === undefined) {
      file = {
        ...{ hash: identityHash(identity, 0, pathText), next: undefined, era: 0, identity, path: pathText, reading },
        ...{ sha256: digests.internLatin1(reading.sha256), readAt: timeWords(reading.startedNs) },
        settledAt: timeWords(reading.before.ctime_ns + 2n * tickNs),
        answers: [],
        ...{ canWaitIn: new Set(), canWaitSinceMs: performance.now() },
      };
      addEntry(files, file, 1);
    }
    if (found !== undefined) answer(file, found);
  };
  return { find, remember, answer, noPackage: textsOf(NO_PACKAGE) };
}

/**
 * `no_record` of bytes that were compared may turn into a mismatch with the time of the exec: asked for each. So is what
 * could not be read: the next may be luckier.
 */
function isFinal({ package_match, package_algorithm: algorithm }: PackageColumns, reading: Reading): boolean {
  if (package_match === 'unread') return false;
  const wasCompared = algorithm !== '' && reading[algorithm] !== undefined;
  return package_match !== 'no_record' || !wasCompared;
}

function identityHash(words: Uint32Array, word: number, path: Text): number {
  let hash = path.hash;
  for (let index = 0; index < IDENTITY_WORDS; index++) hash = mixHash(hash, words[word + index]!);
  return finishHash(hash);
}

function sameIdentity(identity: Uint32Array, words: Uint32Array, word: number): boolean {
  for (let index = 0; index < IDENTITY_WORDS; index++) if (identity[index] !== words[word + index]) return false;
  return true;
}

/** A text that was forgotten and met again is another object with the same bytes. */
function sameText(a: Text, b: Text): boolean {
  return a === b || (a.hash === b.hash && Buffer.compare(a.bytes, b.bytes) === 0);
}

function identityWords(file: FileState): Uint32Array {
  const view = new DataView(new ArrayBuffer(IDENTITY_WORDS * 4));
  for (const { name, kind, offset } of IDENTITY) {
    const value = file[name as keyof FileState];
    if (kind === 'u64') view.setBigUint64(offset, BigInt(value), true);
    else view.setUint32(offset, Number(value), true);
  }
  return new Uint32Array(view.buffer);
}

function timeWords(ns: bigint): TimeWords {
  return { low: Number(ns & 0xffff_ffffn), high: Number(ns >> 32n) };
}
