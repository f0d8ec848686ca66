/** The one judgement that detection (live), the api (on demand) and dry runs share. Pure: reads its arguments only. */
import { STRONG } from '@bintrail/schemas/digest-words.ts';
import type { Sighting, Verdict } from '@bintrail/schemas/sighting.ts';
import { type CompiledApprovals, type CompiledRule, decidingRule } from './approvals.ts';

const MAX_REASON_CHARS = 160;

/**
 * Judges one sighting as of `atMs` (milliseconds since the epoch: the event's time live and in history, now in "now"
 * views). Order of precedence:
 * 1. `denied`: any deny rule in force, by digest, package or path, whatever the evidence. A digest that is missing or
 *    weak never lets a file escape a rule that names its path or package.
 * 2. `unknown`: no digest. Nothing is approved without the bytes it was approved for, not even by path.
 * 3. `approved`: the allow rule with the narrowest scope. By package only where {@link isPackageVerified}.
 * 4. `explained`: {@link isPackageVerified}, or a container runtime's own start (role `setup`): the very program that the
 *    host ran to do it, and is judged for there.
 * 5. `unapproved`. A weak digest by itself always ends here: it may be found and denied, but never approves or explains.
 *
 * `corroborated` says that the same content was seen in the same workload with strong evidence (corroboration.ts):
 * then a digest that is weak only in its timing counts like that one.
 */
export function judge(sighting: Sighting, approvals: CompiledApprovals, atMs: number, corroborated = false): Verdict {
  const deny = decidingRule(approvals.deny, sighting, atMs, true);
  if (deny !== undefined) return { value: 'denied', why: `Denied by ${ruleText(deny)}`, approval_id: deny.approval.id };
  if (sighting.sha256 === '') return { value: 'unknown', why: absenceText(sighting), approval_id: null };
  const verified = isPackageVerified(sighting);
  const allow = decidingRule(approvals.allow, sighting, atMs, verified);
  const borrowed = corroborated && isWeakInTiming(sighting);
  if (!isStrong(sighting) && !borrowed) {
    return { value: 'unapproved', why: weaknessText(sighting, verified, allow), approval_id: null };
  }
  if (allow !== undefined) {
    return {
      value: 'approved',
      why: `Approved by ${ruleText(allow)}${borrowed ? BORROWED : ''}`,
      approval_id: allow.approval.id,
    };
  }
  if (verified || sighting.role === 'setup') {
    const why = verified ? `Content matches ${packageRecord(sighting)}.` : SETUP;
    return { value: 'explained', why: `${why}${borrowed ? BORROWED : ''}`, approval_id: null };
  }
  return { value: 'unapproved', why: unapprovedText(sighting), approval_id: null };
}

/** A digest that says for certain which bytes ran. */
export function isStrong(sighting: Sighting): boolean {
  return (STRONG as readonly string[]).includes(sighting.digest_strength);
}

/** Read from the right file, which may have been touched around its start; `writable` is worse than that. */
export const WEAK_IN_TIMING: readonly Sighting['digest_strength'][] = ['racy', 'metadata'];

function isWeakInTiming(sighting: Sighting): boolean {
  return WEAK_IN_TIMING.includes(sighting.digest_strength);
}

const SETUP = 'The container runtime, setting the container up: the same program that the host ran to start it.';

const BORROWED =
  ' The evidence of this start is weak; the same content also ran in this workload with strong evidence.';

/**
 * The content is what the package that owns this path recorded. Of a container the probe says `match` only where the
 * database is the image's own, unchanged (else `claimed`): so it is worth as much as the image is. A file in the upper
 * layer was written after the image was built, by whoever could write there. On a host an overlay has no such meaning,
 * its package manager is how software comes in.
 */
export function isPackageVerified(sighting: Sighting): boolean {
  return sighting.package_match === 'match' && !isWrittenInContainer(sighting);
}

function isWrittenInContainer(sighting: Sighting): boolean {
  return sighting.upper_layer && CONTAINER_WORKLOADS.some((prefix) => sighting.workload.startsWith(prefix));
}

/** How the ids of workloads that run from an image begin (design: workload). */
export const CONTAINER_WORKLOADS = ['container/', 'k8s/'] as const;

function ruleText({ approval, scope }: CompiledRule): string {
  const where = scope.isPrefix ? (scope.text === '' ? 'every workload' : `workloads ${scope.text}*`) : scope.text;
  const reason = clip(approval.reason);
  return `rule ${approval.id} by ${approval.author} (${matcherText(approval.match)}, ${where}): ${reason}`;
}

function matcherText(match: CompiledRule['approval']['match']): string {
  if ('sha256' in match) return 'digest';
  if ('path' in match) return `path ${match.path}`;
  const { name, version } = match.package;
  return `package ${name}${version === undefined ? '' : ` ${version}`}`;
}

function clip(text: string): string {
  return text.length <= MAX_REASON_CHARS ? text : `${text.slice(0, MAX_REASON_CHARS).toWellFormed()}…`;
}

// Words come from the wire: one that a newer probe made up is shown as it is.
const ABSENCES: Partial<Record<Sighting['digest_reason'], string>> = {
  too_large: 'the file is larger than the probe may read',
  vanished: 'the file was gone before it could be read',
  changed: 'the file changed while it was read',
  unreadable: 'the file could not be read',
  remote_fs: 'the file lies on a remote filesystem',
  timeout: 'reading took longer than allowed',
  unmarked_fs: 'the kernel did not hand over files of this filesystem',
  overload: 'too many files waited to be read',
  snapshot: 'it was started before the probe',
  rate_limited: 'the probe is set to read no more than so much in a second',
  pending: 'it is still being computed',
};

function absenceText({ digest_reason: reason }: Sighting): string {
  if (reason === '') return 'No digest, and no reason was recorded.';
  const explanation = ABSENCES[reason];
  return explanation === undefined ? `No digest: ${reason}.` : `No digest: ${reason}, ${explanation}.`;
}

const WEAKNESSES: Partial<Record<Sighting['digest_strength'], string>> = {
  metadata: 'the file was relinked, renamed or changed mode meanwhile',
  racy: 'the file may have been written around the start without a trace',
  writable: 'the file was open for writing',
};

function weaknessText(sighting: Sighting, verified: boolean, allow: CompiledRule | undefined): string {
  const { digest_strength: strength } = sighting;
  const cause = `The digest is only ${strength || 'of unknown strength'}: ${WEAKNESSES[strength] ?? 'not known how'}`;
  if (allow !== undefined) return `${cause}, so rule ${allow.approval.id} cannot approve it.`;
  return verified ? `${cause}, so ${packageName(sighting)} cannot explain it.` : `${cause}; no approval covers it.`;
}

function unapprovedText(sighting: Sighting): string {
  if (sighting.package_match === 'mismatch') return `Content differs from ${packageRecord(sighting)}.`;
  if (sighting.package_match === 'match') {
    return `Matches ${packageName(sighting)}, but was written into the container after its image was built.`;
  }
  if (sighting.package_match === 'claimed') {
    return `Matches ${packageName(sighting)} by a database that its container could have written.`;
  }
  if (sighting.package_match === 'unread') {
    return 'No approval covers it, and the package database of its root could not be asked.';
  }
  if (sighting.package_match === 'no_record') {
    return `Path belongs to ${packageName(sighting)}, which records no checksum for it; no approval covers it.`;
  }
  return 'No approval covers it and no package owns its path.';
}

function packageName(sighting: Sighting): string {
  return `package ${sighting.package} ${sighting.package_version}`.trimEnd();
}

function packageRecord(sighting: Sighting): string {
  return `the checksum that ${packageName(sighting)} records for ${sighting.path}`;
}
