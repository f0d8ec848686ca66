/** How the record of a group changes. Pure: the ledger makes each change durable before anything follows from it. */
import type { Finding } from '@bintrail/schemas/finding.ts';
import { type Delivery, isPending, MAX_FINDINGS, type Pending, type Planned, timestamp } from './delivery.ts';
import { type EpisodeOf, isCovered, isFull, type Membership, withMember } from './episode.ts';
import type { Retry } from './retry.ts';
import type { PostResult } from './slack.ts';

export type Arrival = { readonly episodeOf: EpisodeOf; readonly hasWebhook: boolean; readonly nowMs: number };

/** The record after a finding arrived; undefined when that changes nothing. */
export function receive(current: Delivery | undefined, finding: Finding, arrival: Arrival): Delivery | undefined {
  const { episodeOf, hasWebhook } = arrival;
  const covered = current !== undefined && isCovered(current, finding.finding_id, episodeOf);
  const neverTold = current?.state === 'withdrawn' && hasWebhook;
  // Detect reports again what is unapproved again; a repeat of what came without a webhook is no news.
  if (covered && !(neverTold && current.why !== 'no_webhook')) return undefined;
  const group = withMember(current, finding.finding_id, episodeOf);
  if (current === undefined || group.episode > current.episode || neverTold) {
    return open(current, group, finding, arrival);
  }
  const merged = { ...current, members: group.members, base: group.base };
  return isPending(merged) ? withFinding(merged, finding, isFull(current)) : merged;
}

function open(current: Delivery | undefined, group: Membership, finding: Finding, arrival: Arrival): Delivery {
  const at = timestamp(arrival.nowMs);
  const head = { v: 1 as const, group_id: finding.group_id, ...group, at };
  if (!arrival.hasWebhook) return { ...head, state: 'withdrawn', why: 'no_webhook' };
  // What the last episode has not told yet is told with this one.
  const untold = current !== undefined && isPending(current) ? current : undefined;
  const others = untold?.findings.filter(({ finding_id: id }) => id !== finding.finding_id) ?? [];
  const findings = [slim(finding), ...others].slice(0, MAX_FINDINGS);
  const more = (untold?.more ?? 0) + 1 + others.length - findings.length;
  return { ...head, state: 'queued', queued_at: at, findings, more, attempts: 0, may_repeat: false, plain: false };
}

function withFinding<D extends Pending>(delivery: D, finding: Finding, wasFull: boolean): D {
  if (delivery.findings.some(({ finding_id: id }) => id === finding.finding_id)) return delivery;
  if (delivery.findings.length >= MAX_FINDINGS) return { ...delivery, more: delivery.more + (wasFull ? 0 : 1) };
  return { ...delivery, findings: [...delivery.findings, slim(finding)] };
}

const MAX_ARGV_CHARS = 2000;
const MAX_ANCESTORS = 12;
const MAX_ANCESTOR_CHARS = 300;

/** A finding with no more text than a message shows: the record is written again at every step. */
function slim(finding: Finding): Finding {
  const { exec } = finding.evidence;
  const ancestors = exec.ancestors
    .slice(0, MAX_ANCESTORS)
    .map((ancestor) => ({ ...ancestor, argv: shorten(ancestor.argv, MAX_ANCESTOR_CHARS) }));
  const slimExec = { ...exec, argv: shorten(exec.argv, MAX_ARGV_CHARS), ancestors };
  return { ...finding, evidence: { ...finding.evidence, exec: slimExec } };
}

function shorten(argv: readonly string[], maxChars: number): string[] {
  const kept: string[] = [];
  let left = maxChars;
  for (const argument of argv) {
    if (left <= 0) return [...kept, `… ${argv.length - kept.length} more arguments`];
    kept.push(argument.length <= left ? argument : `${argument.slice(0, left)}…`);
    left -= argument.length + 1;
  }
  return kept;
}

/** To be written before the post it names. */
export function plan(delivery: Pending, deliveryId: string, nowMs: number): Planned {
  const { v, group_id, episode, members, base, queued_at, findings, more, may_repeat, plain } = delivery;
  return {
    ...{ v, group_id, episode, members, base, queued_at, findings, more, may_repeat, plain },
    state: 'planned',
    attempts: delivery.attempts + 1,
    delivery_id: deliveryId,
    at: timestamp(nowMs),
  };
}

/** To be written after the post. `retry` says when the next attempt is due, for all results but `sent`. */
export function settle(delivery: Planned, result: PostResult, retry: Retry | undefined, nowMs: number): Delivery {
  const at = timestamp(nowMs);
  if (result.kind === 'sent' || retry === undefined) {
    const { v, group_id, episode, members, base, delivery_id, attempts, may_repeat } = delivery;
    return { v, group_id, episode, members, base, delivery_id, attempts, may_repeat, state: 'sent', at };
  }
  return {
    ...delivery,
    state: 'failed',
    at,
    outcome: result.kind,
    code: result.code,
    retry_at: timestamp(nowMs + retry.waitMs),
    may_repeat: delivery.may_repeat || result.kind === 'unknown',
    plain: delivery.plain || retry.plain,
  };
}

/**
 * A record as it counts after a start. A post that a crash left without an outcome is due at once, and marked; so is
 * what Slack rejected, unmarked: the restart may be the remedy.
 */
export function recover(delivery: Delivery): Delivery {
  if (delivery.state === 'failed' && delivery.outcome === 'rejected') return { ...delivery, retry_at: delivery.at };
  if (delivery.state !== 'planned') return delivery;
  const { delivery_id: _, ...rest } = delivery;
  return { ...rest, state: 'queued', may_repeat: true };
}

/** When a record is due, in milliseconds since the epoch. One from the future comes from a clock that was wrong. */
export function dueAtMs(delivery: Pending, nowMs: number): number {
  if (delivery.state !== 'failed' || Date.parse(delivery.at) > nowMs) return 0;
  return Date.parse(delivery.retry_at);
}

export function withdraw(delivery: Pending, why: 'approved' | 'resolved', nowMs: number): Delivery {
  const { v, group_id, episode, members, base } = delivery;
  return { v, group_id, episode, members, base, state: 'withdrawn', why, at: timestamp(nowMs) };
}
