/** What an alert is worth now: the findings of a group judged again with the newest policy, just before it is posted. */
import type { CompiledApprovals } from '@bintrail/analysis/approvals.ts';
import { judge } from '@bintrail/analysis/judge.ts';
import { findings as findingsOf } from '@bintrail/analysis/rules.ts';
import { type Finding, UNJUDGED_RULES } from '@bintrail/schemas/finding.ts';
import { FLAGS, flagBit } from '@bintrail/schemas/flags.ts';
import type { Sighting, Verdict } from '@bintrail/schemas/sighting.ts';
import type { Pending } from './delivery.ts';
import { type EpisodeOf, isResolved } from './episode.ts';

export type Policy = {
  readonly revision: number;
  readonly approvals: CompiledApprovals;
  readonly episodeOf: EpisodeOf;
};

/** Either nobody needs to be told any more, or this is the finding to show. */
export type Review =
  | { readonly needed: false; readonly why: 'approved' | 'resolved' }
  | {
      readonly needed: true;
      readonly finding: Finding;
      readonly verdict: Verdict;
      readonly others: readonly Finding[];
    };

export function review(delivery: Pending, policy: Policy, nowMs: number): Review {
  if (isResolved(delivery, policy.episodeOf)) return { needed: false, why: 'resolved' };
  const judged = delivery.findings.map((finding) => ({ finding, ...judgeFinding(finding, policy.approvals, nowMs) }));
  // Findings that were only counted cannot be judged again, so they keep the alert standing.
  const shown = judged.find(({ stands }) => stands) ?? (delivery.more > 0 ? judged[0] : undefined);
  if (shown === undefined) return { needed: false, why: 'approved' };
  const others = judged.filter((other) => other !== shown && other.stands).map(({ finding }) => finding);
  return { needed: true, finding: shown.finding, verdict: shown.verdict, others };
}

/** A finding stands while its sighting would still make one, of whatever rule. */
function judgeFinding(finding: Finding, approvals: CompiledApprovals, nowMs: number) {
  if (UNJUDGED_RULES.includes(finding.rule)) return { verdict: verdictThen(finding), stands: true };
  const sighting = sightingOf(finding);
  const verdict = judge(sighting, approvals, nowMs);
  return { verdict, stands: findingsOf(sighting, verdict, flagsOf(finding)).length > 0 };
}

/** Nothing ran that could be judged, and no approval lifts it. */
function verdictThen({ evidence }: Finding): Verdict {
  return { value: 'unknown', why: evidence.verdict.why, approval_id: null };
}

// The words come from detect, which has them from the same lists; one that is not on them counts as weak evidence.
function sightingOf({ workload, role, sha256, path, evidence }: Finding): Sighting {
  return {
    workload,
    image: evidence.image,
    role: role as Sighting['role'],
    sha256,
    path,
    package: evidence.package,
    package_version: evidence.package_version,
    package_match: evidence.package_match as Sighting['package_match'],
    upper_layer: evidence.flags.includes('upper_layer'),
    digest_strength: evidence.digest.strength as Sighting['digest_strength'],
    digest_reason: evidence.digest.reason as Sighting['digest_reason'],
  };
}

function flagsOf({ evidence }: Finding): number {
  return FLAGS.filter((flag) => evidence.flags.includes(flag)).reduce((bits, flag) => bits | flagBit(flag), 0);
}
