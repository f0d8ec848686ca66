import type { Finding, FindingContainer } from '@bintrail/schemas/finding.ts';
import type { Alert } from './alert.ts';
import type { SlackMessage } from './block-kit.ts';
import type { ApiAccess } from './commands.ts';
import { type Delivery, isPending, type Pending } from './delivery.ts';
import type { Lookup } from './ledger.ts';
import { findingMessage, plainMessage } from './message.ts';
import { type Policy, review } from './review.ts';
import { plainSummary, summaryMessage } from './summary.ts';
import { dueAtMs, withdraw } from './transitions.ts';

export type Counts = {
  readonly count: number;
  readonly nodes: number;
  readonly firstNs: bigint;
  /** Where it was seen first, by what is known now. */
  readonly container?: FindingContainer;
};

/** A message and the groups it tells of. */
export type Composed = { readonly message: SlackMessage; readonly groups: readonly Pending[] };

export type ComposeOptions = {
  readonly access: ApiAccess;
  /** With more groups waiting than this, they are told in a summary. */
  readonly bundleOver: number;
};

/** Records of the groups that nobody needs to be told of any more. */
export function withdrawals(waiting: Iterable<Pending>, policy: Policy, nowMs: number): Delivery[] {
  return [...waiting].flatMap((delivery) => {
    const result = review(delivery, policy, nowMs);
    return result.needed ? [] : [withdraw(delivery, result.why, nowMs)];
  });
}

/**
 * The groups the next message is about, oldest first: one, or so many that they are better told together. Groups whose
 * message Slack did not take as it was are told apart from the others.
 */
export function nextGroups(waiting: Iterable<Pending>, nowMs: number, { bundleOver }: ComposeOptions): Pending[] {
  const due = [...waiting].filter((delivery) => dueAtMs(delivery, nowMs) <= nowMs);
  const alike = due.filter(({ plain }) => plain === due[0]!.plain);
  return alike.length > bundleOver ? alike : alike.slice(0, 1);
}

/** The finding that a message about this group would show. */
export function shownFinding(delivery: Pending, policy: Policy, nowMs: number): Finding | undefined {
  const result = review(delivery, policy, nowMs);
  return result.needed ? result.finding : undefined;
}

/**
 * The message about these groups, from their newest records. Undefined when the last of them needs none any more; a
 * summary may hold fewer groups than were asked for, the rest stays for the next one.
 */
export function compose(
  groupIds: readonly string[],
  get: Lookup,
  counts: ReadonlyMap<string, Counts>,
  policy: Policy,
  nowMs: number,
  { access }: ComposeOptions,
): Composed | undefined {
  const drafts = groupIds.flatMap((groupId) => {
    const delivery = get(groupId);
    if (delivery === undefined || !isPending(delivery)) return [];
    const alert = alertOf(delivery, counts, policy, nowMs);
    return alert === undefined ? [] : [{ delivery, alert }];
  });
  const first = drafts[0];
  if (first === undefined) return undefined;
  const { plain } = first.delivery;
  if (drafts.length === 1) {
    const message = plain ? plainMessage(first.alert, access) : findingMessage(first.alert, access);
    return { message, groups: [first.delivery] };
  }
  const alerts = drafts.map(({ alert }) => alert);
  const { message, listed } = plain ? plainSummary(alerts) : summaryMessage(alerts, access);
  return { message, groups: drafts.slice(0, listed).map(({ delivery }) => delivery) };
}

function alertOf(
  delivery: Pending,
  counts: ReadonlyMap<string, Counts>,
  policy: Policy,
  nowMs: number,
): Alert | undefined {
  const result = review(delivery, policy, nowMs);
  if (!result.needed) return undefined;
  return {
    finding: result.finding,
    episode: delivery.episode,
    verdict: result.verdict,
    policyRevision: policy.revision,
    otherWorkloads: result.others.map(({ workload }) => workload),
    moreWorkloads: delivery.more,
    counts: counts.get(result.finding.finding_id),
    mayRepeat: delivery.may_repeat,
  };
}
