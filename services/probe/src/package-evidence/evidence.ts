/**
 * What a package database says about a file, and the comparison with what was really read. Pure.
 * Paths are latin1 strings, one character per kernel byte; digests are lower-case hex.
 */

/** Where a recorded digest comes from. A conffile is the operator's to edit: its mismatch is no tampering. */
export type RecordKind = 'packaged' | 'conffile' | 'obsolete_conffile' | 'none';

export const MANAGERS = ['dpkg', 'rpm', 'apk'] as const;
/** Whose database it is. dpkg records MD5, apk SHA-1, rpm SHA-256 or, in old packages, MD5. */
export type Manager = (typeof MANAGERS)[number];

/** Algorithms that can be compared, and how many hex digits each has. */
export const HEX_DIGITS = { md5: 32, sha1: 40, sha256: 64 } as const;
export type Algorithm = keyof typeof HEX_DIGITS;

/** Digests of one content, lower-case hex; missing where nobody computed it. */
export type Digests = { readonly [A in Algorithm]?: string | undefined };

/** One package's claim on a path. */
export type Owner = {
  readonly manager: Manager;
  readonly package: string;
  readonly version: string;
  readonly architecture: string;
  /** The path as the database spells it (before merged /usr and diversions). */
  readonly comparedPath: string;
  readonly record: RecordKind;
  /** Empty when the database has no digest for this path that could be compared. */
  readonly algorithm: Algorithm | '';
  readonly digest: string;
  /** When the record reached this filesystem (ctime of the file that holds it), Unix ms; 0 without a record. */
  readonly recordedAtMs: number;
  /** False while the manager is replacing this package's files: disk and records need not agree then. */
  readonly settled: boolean;
  /** False where whoever runs in the container could have written the database: it then says what they like. */
  readonly sealed: boolean;
};

/** `no_record`: owned, but nothing to compare with, or the record is of another moment than the bytes. */
export type PackageMatch = 'match' | 'mismatch' | 'no_record' | 'not_owned';

/** Texts are empty where there is nothing to say. */
export type PackageEvidence = Omit<Owner, 'manager' | 'digest' | 'recordedAtMs' | 'settled'> & {
  readonly manager: Manager | '';
  readonly match: PackageMatch;
  readonly recordedDigest: string;
};

/**
 * `owners` come from `ownersOf(path)`, `digests` are of the same bytes as the event's SHA-256, `startedAtMs` is when
 * those bytes began to run. Bytes that ran before the record arrived belong to the version before it: they may match,
 * but never mismatch. Several owners (merged /usr lets two packages ship one file): one match is enough. A record in an
 * algorithm that nobody computed counts as none. A second file with the same MD5 or SHA-1 can be made, but only together
 * with the packaged one.
 */
export function compare(owners: readonly Owner[], digests: Digests, startedAtMs: number): PackageEvidence {
  const recorded = owners.filter(({ algorithm }) => algorithm !== '' && digests[algorithm] !== undefined);
  const matches = recorded.filter(({ algorithm, digest }) => digests[algorithm as Algorithm] === digest);
  const matching = matches.find(({ sealed }) => sealed) ?? matches[0];
  if (matching) return evidence(matching, 'match');
  const contradicting = recorded.find((owner) => owner.settled && owner.recordedAtMs <= startedAtMs);
  if (contradicting) return evidence(contradicting, 'mismatch');
  const first = recorded[0] ?? owners[0];
  return first ? evidence(first, 'no_record') : NOT_OWNED;
}

function evidence({ digest, recordedAtMs: _, settled: __, ...owner }: Owner, match: PackageMatch): PackageEvidence {
  return { ...owner, match, recordedDigest: digest };
}

const NOT_OWNED: PackageEvidence = {
  manager: '',
  package: '',
  version: '',
  architecture: '',
  match: 'not_owned',
  comparedPath: '',
  record: 'none',
  algorithm: '',
  sealed: true,
  recordedDigest: '',
};
