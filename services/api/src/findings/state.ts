/** What became of a finding: computed from what was done about it, what was seen since, and the approvals of now. */
import type { ActionRow } from './action-rows.ts';

export const STATES = ['open', 'acknowledged', 'resolved'] as const;
export type FindingState = (typeof STATES)[number];

export type Standing = {
  readonly state: FindingState;
  /** How often it was resolved before: a sighting after that opened it again. */
  readonly episode: number;
  readonly resolved_by: 'action' | 'approval' | 'heard' | null;
  readonly last_action: ActionRow | undefined;
};

/**
 * Actions are in the order of their revisions. A resolution holds until something is seen after it; an approval that
 * covers all of the finding resolves it for as long as it is in force.
 */
export function standingOf(actions: readonly ActionRow[], lastSeenNs: bigint, isApproved: boolean): Standing {
  const resolutions = actions.filter(({ action }) => action === 'resolve');
  const last_action = actions.at(-1);
  const isHeld = last_action?.action === 'resolve' && lastSeenNs <= BigInt(last_action.atMs) * 1_000_000n;
  const episode = resolutions.length - (isHeld ? 1 : 0);
  if (isHeld) return { state: 'resolved', episode, resolved_by: 'action', last_action };
  if (isApproved) return { state: 'resolved', episode, resolved_by: 'approval', last_action };
  const state = last_action?.action === 'acknowledge' ? 'acknowledged' : 'open';
  return { state, episode, resolved_by: null, last_action };
}
