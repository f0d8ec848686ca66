/** What the host's package database says of a path and the bytes that ran from it. */
import { flagBit } from '@bintrail/schemas/flags.ts';
import type { DpkgDatabase } from './package-evidence/dpkg.ts';
import { compare, hasRecord } from './package-evidence/evidence.ts';
import type { Evidence, Reading } from './reading.ts';

export type PackageColumns = {
  readonly package: string;
  readonly package_version: string;
  readonly package_match: 'match' | 'mismatch' | 'no_record' | '';
};

export const NO_PACKAGE: PackageColumns = { package: '', package_version: '', package_match: '' };

const NAMELESS = flagBit('memfd') | flagBit('unlinked');

export type Asked = {
  readonly path: string;
  readonly flags: number;
  readonly container_id: string;
  readonly tsNs: bigint;
};

/**
 * Evidence for one event. Only files of the host's own root are looked up, and only while the path still names the
 * bytes in question: an unlinked or replaced file is nobody's.
 */
export async function packageColumns(
  database: DpkgDatabase,
  asked: Asked,
  evidence: Evidence,
  reading: Reading | undefined,
): Promise<PackageColumns> {
  if (asked.container_id !== '' || asked.flags & NAMELESS || evidence.digest_strength === 'metadata') return NO_PACKAGE;
  const owners = await database.ownersOf(asked.path);
  if (owners === undefined || owners.length === 0) return NO_PACKAGE;
  const first = owners[0]!;
  if (reading?.md5 === undefined && hasRecord(owners)) return named(first.package, first.architecture, first.version, 'no_record');
  const found = compare(owners, reading?.md5 ?? '', Number(asked.tsNs / 1_000_000n));
  if (found.match === 'not_owned') return NO_PACKAGE;
  return named(found.package, found.architecture, found.version, found.match);
}

function named(name: string, architecture: string, version: string, match: PackageColumns['package_match']): PackageColumns {
  return { package: `dpkg:${name}:${architecture}`, package_version: version, package_match: match };
}
