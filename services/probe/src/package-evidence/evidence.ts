/**
 * What a package database says about a file, and the comparison with what was really read. Pure.
 * Paths are latin1 strings, one character per kernel byte; digests are lower-case hex.
 */

/** Where a recorded digest comes from. A conffile is the operator's to edit: its mismatch is no tampering. */
export type RecordKind = 'md5sums' | 'conffile' | 'obsolete_conffile' | 'none';

/** One package's claim on a path. */
export type Owner = {
  readonly package: string;
  readonly version: string;
  readonly architecture: string;
  /** The path as the database spells it (before merged /usr and diversions). */
  readonly comparedPath: string;
  readonly record: RecordKind;
  /** 32 hex digits; empty when the database has no digest for this path. */
  readonly md5: string;
  /** When the record reached this filesystem (ctime of the file that holds it), Unix ms; 0 without a record. */
  readonly recordedAtMs: number;
  /** False while dpkg is replacing this package's files: disk and records need not agree then. */
  readonly settled: boolean;
};

/** `no_record`: owned, but nothing to compare with, or the record is of another moment than the bytes. */
export type PackageMatch = 'match' | 'mismatch' | 'no_record' | 'not_owned';

/** Texts are empty where there is nothing to say. */
export type PackageEvidence = {
  readonly package: string;
  readonly version: string;
  readonly architecture: string;
  readonly match: PackageMatch;
  readonly comparedPath: string;
  readonly record: RecordKind;
  readonly algorithm: 'md5' | '';
  readonly recordedDigest: string;
};

/** Whether the caller needs the content's MD5 at all. */
export function hasRecord(owners: readonly Owner[]): boolean {
  return owners.some((owner) => owner.md5 !== '');
}

/**
 * `owners` come from `ownersOf(path)`, `md5Hex` from the same bytes as the event's SHA-256 (any text when no owner has a
 * record), `startedAtMs` is when those bytes began to run. Bytes that ran before the record arrived belong to the version
 * before it: they may match, but never mismatch. Several owners (merged /usr lets two packages ship one file): one match is
 * enough. MD5 is what dpkg records; a second file with the same MD5 has to be made together with the packaged one.
 */
export function compare(owners: readonly Owner[], md5Hex: string, startedAtMs: number): PackageEvidence {
  if (hasRecord(owners) && !/^[0-9a-f]{32}$/.test(md5Hex))
    throw new TypeError('compare needs an MD5 in lower-case hex');
  const matching = owners.find((owner) => owner.md5 !== '' && owner.md5 === md5Hex);
  if (matching) return evidence(matching, 'match');
  const contradicting = owners.find((owner) => owner.md5 !== '' && owner.settled && owner.recordedAtMs <= startedAtMs);
  if (contradicting) return evidence(contradicting, 'mismatch');
  const first = owners[0];
  return first ? evidence(first, 'no_record') : NOT_OWNED;
}

function evidence(owner: Owner, match: PackageMatch): PackageEvidence {
  const { package: name, version, architecture, comparedPath, record, md5 } = owner;
  const algorithm = md5 === '' ? '' : 'md5';
  return { package: name, version, architecture, match, comparedPath, record, algorithm, recordedDigest: md5 };
}

const NOT_OWNED: PackageEvidence = {
  package: '',
  version: '',
  architecture: '',
  match: 'not_owned',
  comparedPath: '',
  record: 'none',
  algorithm: '',
  recordedDigest: '',
};
