/** What a package database says of a path and the bytes that ran from it: the host's own, or that of a container's root. */
import { Transient } from '@bintrail/runtime/errors.ts';
import { createLru } from '@bintrail/runtime/lru.ts';
import type { PackageMatch } from '@bintrail/schemas/digest-words.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { type FileState, identityKey, inodeKey } from './file-identity.ts';
import { isRemoteMagic } from './mounts.ts';
import type { NamesFile } from './named-file.ts';
import type { Answer, Question } from './package-evidence/container-packages.ts';
import type { DpkgDatabase } from './package-evidence/dpkg.ts';
import { type Algorithm, compare, type Digests, type Owner } from './package-evidence/evidence.ts';
import type { Evidence, Reading } from './reading.ts';

export type PackageColumns = {
  readonly package: string;
  readonly package_version: string;
  readonly package_match: PackageMatch | '';
  readonly package_algorithm: Algorithm | '';
};

export const NO_PACKAGE: PackageColumns = {
  package: '',
  package_version: '',
  package_match: '',
  package_algorithm: '',
};

/** There is, or may be, a database that could not be asked. */
const UNREAD: PackageColumns = { ...NO_PACKAGE, package_match: 'unread' };

/** Files that no path names: nobody's package. */
export const NAMELESS = flagBit('memfd') | flagBit('unlinked');

export type Asked = {
  readonly path: string;
  readonly flags: number;
  readonly file: FileState;
  readonly container_id: string;
  readonly image: string;
  readonly pid: number;
  /** Inode of the mount namespace of that process. */
  readonly mnt_ns: number;
  readonly tsNs: bigint;
};

/** Owners of a file, or that it could not be found out. */
export type OwnersOf = (asked: Asked) => Promise<readonly Owner[] | 'unread'>;

/**
 * Evidence for one event. A file is looked up only while the path still names the very inode: an unlinked or replaced
 * file is nobody's. A conffile is there to be edited: one that differs is `no_record`, not a mismatch.
 */
export async function packageColumns(
  ownersOf: OwnersOf,
  asked: Asked,
  evidence: Evidence,
  reading: Reading | undefined,
): Promise<PackageColumns> {
  if (asked.flags & NAMELESS || evidence.digest_strength === 'metadata') return NO_PACKAGE;
  // Looking a path up asks the server of a remote filesystem, which may never answer.
  if (isRemoteMagic(asked.file.fs_magic)) return NO_PACKAGE;
  const owners = await ownersOf(asked);
  if (owners === 'unread') return UNREAD;
  const found = compare(owners, digestsOf(reading), Number(asked.tsNs / 1_000_000n));
  if (found.match === 'not_owned') return NO_PACKAGE;
  return {
    package: `${found.manager}:${found.package}:${found.architecture}`,
    package_version: found.version,
    package_match: wordOf(found),
    package_algorithm: found.algorithm,
  };
}

function wordOf({ match, record, sealed }: ReturnType<typeof compare>): PackageMatch {
  if (match === 'match') return sealed ? 'match' : 'claimed';
  return match === 'mismatch' && record === 'packaged' ? 'mismatch' : 'no_record';
}

function digestsOf(reading: Reading | undefined): Digests {
  if (reading === undefined || reading.failure !== '') return {};
  const { sha256, md5, sha1 } = reading;
  return { sha256: Buffer.from(sha256, 'latin1').toString('hex'), md5, sha1 };
}

const MAX_ANSWERS = 8_192;
const ANSWER_MS = 2_500;

/**
 * Asks the host's database once for many runs of one file. What was answered for a path holds for that very state of the
 * file only, so an upgrade is asked for anew, and not for long. Nobody's while the database cannot be read for want of
 * descriptors or memory: evidence is optional, the event is not. A service with a root directory of its own has other
 * files at that path, and is told apart by the inode; nobody is asked who would have to be waited for.
 */
export function createHostOwners(database: DpkgDatabase, namesFile: NamesFile): OwnersOf {
  const answers = createLru<string, { readonly owners: readonly Owner[]; readonly atMs: number }>(MAX_ANSWERS);
  return async ({ path, file }) => {
    if (!namesFile(path, file)) return [];
    const key = `${identityKey(file)} ${path}`;
    const known = answers.touch(key);
    if (known !== undefined && performance.now() - known.atMs < ANSWER_MS) return known.owners;
    try {
      const owners = (await database.ownersOf(path)) ?? [];
      answers.set(key, { owners, atMs: performance.now() });
      return owners;
    } catch (error) {
      if (error instanceof Transient) return [];
      throw error;
    }
  };
}

/** The host's where it is not dpkg's. */
export function createForeignHostOwners(ask: (question: Question) => Promise<Answer>): OwnersOf {
  return async ({ path, file }) => ownersFrom(await ask({ path, inode: inodeKey(file), where: 'host' }));
}

export type ContainerOwners = {
  readonly ownersOf: OwnersOf;
  /** A process of a container that can be asked by as long as it runs. */
  readonly noteProcess: (process: ContainerProcess) => void;
};

export type ContainerProcess = Pick<Asked, 'pid' | 'mnt_ns' | 'container_id'>;

/** Containers' namespaces, each with the processes one may reach it by: the one that did last time, and the newest. */
const MAX_NAMESPACES = 4_096;
const MAX_PIDS = 4;

const [OVERLAY, UPPER_LAYER] = [flagBit('overlay'), flagBit('upper_layer')];

/**
 * Asks by a process that is still there, once for many runs of one file, as of the host. When all are gone, a file of an
 * image's layers is known by what the same image said of it in another container.
 */
export function createContainerOwners(ask: (question: Question) => Promise<Answer>): ContainerOwners {
  const processes = createLru<string, readonly number[]>(MAX_NAMESPACES);
  const byImage = createLru<string, readonly Owner[]>(MAX_ANSWERS);
  // The number of a namespace that ended is given to the next one at once.
  const namespaceKey = ({ container_id, mnt_ns }: ContainerProcess) => `${mnt_ns} ${container_id}`;
  const noteProcess = (process: ContainerProcess, answered?: number) => {
    const key = namespaceKey(process);
    const [first = process.pid, ...others] = processes.touch(key) ?? [];
    const pids = new Set([answered ?? first, first, process.pid, ...others]);
    processes.set(key, [...pids].slice(0, MAX_PIDS));
  };
  const answers = createLru<string, { readonly owners: readonly Owner[]; readonly atMs: number }>(MAX_ANSWERS);
  const ownersOf: OwnersOf = async (asked) => {
    const key = `${identityKey(asked.file)} ${namespaceKey(asked)} ${asked.path}`;
    const known = answers.touch(key);
    if (known !== undefined && performance.now() - known.atMs < ANSWER_MS) return known.owners;
    const owners = await askFor(asked);
    if (owners !== 'unread') answers.set(key, { owners, atMs: performance.now() });
    return owners;
  };
  const askFor: OwnersOf = async ({ path, flags, file, image, ...process }) => {
    noteProcess(process);
    const where = { pids: processes.get(namespaceKey(process)) ?? [], mountNs: process.mnt_ns };
    const answer = await ask({ path, inode: inodeKey(file), where });
    noteProcess(process, answer.pid);
    const isOfImage = image !== '' && (flags & (OVERLAY | UPPER_LAYER)) === OVERLAY;
    const key = `${image} ${inodeKey(file)} ${path}`;
    if (answer.outcome === 'gone') return (isOfImage ? byImage.touch(key) : undefined) ?? 'unread';
    const isLasting = answer.owners.length > 0 && answer.owners.every(({ sealed }) => sealed);
    if (isOfImage && isLasting) byImage.set(key, answer.owners);
    return ownersFrom(answer);
  };
  return { ownersOf, noteProcess: (process) => noteProcess(process) };
}

function ownersFrom({ outcome, owners }: Answer): readonly Owner[] | 'unread' {
  return outcome === 'answered' ? owners : 'unread';
}
