/** What the host's package database says of a path and the bytes that ran from it. */
import { statSync } from 'node:fs';
import { Transient } from '@bintrail/runtime/errors.ts';
import { createLru } from '@bintrail/runtime/lru.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { type FileState, identityKey } from './file-identity.ts';
import { isRemoteMagic } from './mounts.ts';
import type { DpkgDatabase } from './package-evidence/dpkg.ts';
import { compare, hasRecord, type Owner } from './package-evidence/evidence.ts';
import type { Evidence, Reading } from './reading.ts';

export type PackageColumns = {
  readonly package: string;
  readonly package_version: string;
  readonly package_match: 'match' | 'mismatch' | 'no_record' | '';
};

export const NO_PACKAGE: PackageColumns = { package: '', package_version: '', package_match: '' };

/** Files that no path names: nobody's package. */
export const NAMELESS = flagBit('memfd') | flagBit('unlinked');

export type Asked = {
  readonly path: string;
  readonly flags: number;
  readonly file: FileState;
  readonly container_id: string;
  readonly tsNs: bigint;
};

/**
 * Evidence for one event. Only files of the host's own root are looked up, and only while the path still names the very
 * inode: an unlinked or replaced file is nobody's, and a service with a root directory of its own has other files there.
 * A conffile is there to be edited: one that differs is `no_record`, not a mismatch.
 */
export async function packageColumns(
  ownersOf: OwnersOf,
  asked: Asked,
  evidence: Evidence,
  reading: Reading | undefined,
): Promise<PackageColumns> {
  if (asked.container_id !== '' || asked.flags & NAMELESS || evidence.digest_strength === 'metadata') return NO_PACKAGE;
  // Looking a path up asks the server of a remote filesystem, which may never answer.
  if (isRemoteMagic(asked.file.fs_magic) || !namesInode(asked.path, asked.file.ino)) return NO_PACKAGE;
  const owners = await ownersOf(asked.path, asked.file);
  const first = owners[0];
  if (first === undefined) return NO_PACKAGE;
  if (reading?.md5 === undefined && hasRecord(owners)) return named(first, 'no_record');
  const found = compare(owners, reading?.md5 ?? '', Number(asked.tsNs / 1_000_000n));
  if (found.match === 'not_owned') return NO_PACKAGE;
  const isEdited = found.match === 'mismatch' && found.record !== 'md5sums';
  return named(found, isEdited ? 'no_record' : found.match);
}

export type OwnersOf = (path: string, file: FileState) => Promise<readonly Owner[]>;

const MAX_ANSWERS = 8_192;
const ANSWER_MS = 2_500;

/**
 * Asks a database once for many runs of one file. What was answered for a path holds for that very state of the file
 * only, so an upgrade is asked for anew, and not for long. Nobody's while the database cannot be read for want of
 * descriptors or memory: evidence is optional, the event is not.
 */
export function createOwnersOf(database: DpkgDatabase): OwnersOf {
  const answers = createLru<string, { readonly owners: readonly Owner[]; readonly atMs: number }>(MAX_ANSWERS);
  return async (path, file) => {
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

function namesInode(path: string, ino: bigint): boolean {
  return statSync(Buffer.from(path, 'latin1'), { bigint: true, throwIfNoEntry: false })?.ino === ino;
}

function named(
  { package: name, architecture, version }: Pick<Owner, 'package' | 'architecture' | 'version'>,
  match: PackageColumns['package_match'],
): PackageColumns {
  return { package: `dpkg:${name}:${architecture}`, package_version: version, package_match: match };
}
