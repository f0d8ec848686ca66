/** One package as its database has it, and a database as a sequence of those: what rpm and apk have in common. */
import type { Algorithm, Manager, RecordKind } from './evidence.ts';

/** A regular file that belongs to a package. `path` is absolute, latin1. */
export type RecordedFile = {
  readonly path: string;
  readonly record: RecordKind;
  /** Empty when the digest is missing or in an algorithm that nobody here computes. */
  readonly algorithm: Algorithm | '';
  readonly digest: string;
};

export type PackageRecord = {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  readonly files: readonly RecordedFile[];
};

/** A database that is open. Positions hold while it does not change. */
export type PackageSource = {
  readonly manager: Manager;
  /** Every package with its position; undefined in place of one that cannot be understood. */
  readonly packages: () => Iterable<{ readonly at: number; readonly found: PackageRecord | undefined }>;
  readonly packageAt: (at: number) => PackageRecord | undefined;
};

/** What ends up in a column of events: printable, and short. */
const WORD = /^[\x21-\x7e]{1,255}$/;

export function isWord(text: string): boolean {
  return WORD.test(text);
}

export const MAX_PATH_BYTES = 4096;
/** Of one package. The largest have some 60 thousand; one with more is made to fill our memory. */
export const MAX_FILES = 131_072;
