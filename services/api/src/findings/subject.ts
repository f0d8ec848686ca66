/** Which sightings a finding speaks of: its rule and subject say by which columns they are found. */
import { isPackageVerified } from '@bintrail/analysis/judge.ts';
import { printable } from '@bintrail/schemas/printable.ts';
import type { Sighting } from '@bintrail/schemas/sighting.ts';
import { spellings } from '../spelling.ts';

/**
 * `content`: this digest in this workload. `tampered`: this path in it, its content not what the package recorded.
 * `absent`: this path in it, for good without a digest. `writable`: this path in it, mapped while it could be written.
 */
export const SUBJECT_KINDS = ['content', 'tampered', 'absent', 'writable'] as const;
export type SubjectKind = (typeof SUBJECT_KINDS)[number];

export type Subject = { readonly kind: SubjectKind; readonly workload: string; readonly value: string };

const KIND_OF_PATH: Readonly<Record<string, SubjectKind>> = {
  'tampered-package-file': 'tampered',
  'library-writable-while-mapped': 'writable',
};

/** `subject` as analysis writes it: `sha256:<hex>` or `path:<printable path>`. */
export function subjectOf(rule: string, workload: string, subject: string): Subject {
  const value = subject.slice(subject.indexOf(':') + 1);
  if (subject.startsWith('sha256:')) return { kind: 'content', workload, value };
  return { kind: KIND_OF_PATH[rule] ?? 'absent', workload, value };
}

/** The same for the same sightings, whichever finding asks. */
export function subjectKey({ kind, workload, value }: Subject): string {
  return JSON.stringify([kind, workload, value]);
}

const IS_MAPPED = "role IN ('library', 'loader')";

/**
 * Conditions on each roll-up, beside workload and value. That of the nodes does not know how sure a digest is: of a
 * library that was writable they are all that had it mapped.
 */
export const KIND_CONDITIONS: Readonly<Record<'sightings' | 'sighting_nodes', Readonly<Record<SubjectKind, string>>>> =
  {
    sightings: {
      content: '1',
      tampered: "package_match = 'mismatch'",
      absent: "sha256 = toFixedString('', 32) AND digest_reason != 'pending'",
      writable: `digest_strength = 'writable' AND ${IS_MAPPED}`,
    },
    sighting_nodes: {
      content: '1',
      tampered: "package_match = 'mismatch'",
      absent: "sha256 = toFixedString('', 32) AND digest_reason != 'pending'",
      writable: `digest_reason = '' AND ${IS_MAPPED}`,
    },
  };

/** The column a subject's value stands in, for the primary key: FixedString compares with FixedString. */
export const KIND_COLUMNS: Readonly<Record<SubjectKind, { readonly column: string; readonly fromHex: string }>> = {
  content: { column: 'sha256', fromHex: 'toFixedString(unhex(pair.2), 32)' },
  tampered: { column: 'path', fromHex: 'unhex(pair.2)' },
  absent: { column: 'path', fromHex: 'unhex(pair.2)' },
  writable: { column: 'path', fromHex: 'unhex(pair.2)' },
};

/** Bytes, as hex, that a subject's workload and value may stand for in the store. */
export function storedPairs({ kind, workload, value }: Subject): [workload: string, value: string][] {
  const values = kind === 'content' ? [value] : new Set(spellings(value));
  return [...new Set(spellings(workload))].flatMap((left) =>
    Array.from(values).map((right): [string, string] => [left, right]),
  );
}

/** Printable text of bytes in hex. */
export function shown(hex: string): string {
  return printable(Buffer.from(hex, 'hex'));
}

/**
 * The sightings a finding speaks of: where its rule asks for content that nothing explains, runs that a package explains
 * (the same bytes where the package put them) are no part of it.
 */
export function countedFor<S extends { readonly sighting: Sighting }>(rule: string, seen: readonly S[]): readonly S[] {
  if (rule !== 'unapproved-binary' && rule !== 'dropped-executable') return seen;
  const unexplained = seen.filter(({ sighting }) => !isPackageVerified(sighting));
  return unexplained.length > 0 ? unexplained : seen;
}
