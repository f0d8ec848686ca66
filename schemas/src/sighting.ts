import type { DigestReason, DigestStrength, PackageMatch, Role } from './digest-words.ts';

/**
 * Everything the judgement reads: the key of the `sightings` roll-up. `sha256` is lower-case hex, '' when absent;
 * paths are printable text. Exactly one of `digest_strength` and `digest_reason` is not ''.
 */
export type Sighting = {
  readonly workload: string;
  readonly image: string;
  readonly role: Role;
  readonly sha256: string;
  readonly path: string;
  /** manager:name:architecture; '' when no package owns the path. */
  readonly package: string;
  readonly package_version: string;
  readonly package_match: PackageMatch | '';
  readonly upper_layer: boolean;
  readonly digest_strength: DigestStrength | '';
  readonly digest_reason: DigestReason | '';
};

export const VERDICTS = ['denied', 'unapproved', 'unknown', 'explained', 'approved'] as const;
/** In order of severity, worst first. */
export type VerdictValue = (typeof VERDICTS)[number];

/** A verdict and the rule or evidence that decided it. */
export type Verdict = { readonly value: VerdictValue; readonly why: string; readonly approval_id: string | null };
