/**
 * When does a group need a new message? A finding's episode is how often it was resolved. The episode of a group is the
 * sum over its findings: it grows whenever somebody resolves any of them. A group that is seen while its sum is above
 * that of its last alert is in a new episode, so:
 * - whatever was resolved and came back is told again, in whichever workload;
 * - a group resolved in one go, all its findings at once, is told once, not once for each finding that comes back;
 * - a finding that was told in its own episode (a record published twice) changes nothing.
 * Sums err towards telling: a new workload joining a group of which some finding was resolved also opens an episode.
 */
import type { Delivery } from './delivery.ts';

/** How often a finding was resolved so far. */
export type EpisodeOf = (findingId: string) => number;

/** Throw-away workloads would let a group grow for ever; forgetting one costs at most a message too many. */
export const MAX_MEMBERS = 200;

export type Membership = Pick<Delivery, 'members' | 'base' | 'episode'>;

/** Whether this finding, in its own current episode, is part of the group's alert already. */
export function isCovered(group: Membership, findingId: string, episodeOf: EpisodeOf): boolean {
  const known = Object.hasOwn(group.members, findingId) ? group.members[findingId] : undefined;
  return known !== undefined && known >= episodeOf(findingId);
}

/** Whether so many findings are remembered that a further one may be one that was forgotten. */
export function isFull(group: Membership): boolean {
  return Object.keys(group.members).length >= MAX_MEMBERS;
}

/** The group with this finding seen now, and the episode it is in by that. */
export function withMember(group: Membership | undefined, findingId: string, episodeOf: EpisodeOf): Membership {
  const members = Object.entries(group?.members ?? {}).filter(([id]) => id !== findingId);
  members.push([findingId, episodeOf(findingId)]);
  const forgotten = members.splice(0, Math.max(0, members.length - MAX_MEMBERS));
  const base = (group?.base ?? 0) + sumOf(forgotten, episodeOf);
  return { members: Object.fromEntries(members), base, episode: base + sumOf(members, episodeOf) };
}

/** Whether every finding of the group was resolved after it was last seen. */
export function isResolved(group: Membership, episodeOf: EpisodeOf): boolean {
  return Object.entries(group.members).every(([id, seen]) => episodeOf(id) > seen);
}

function sumOf(members: readonly (readonly [string, number])[], episodeOf: EpisodeOf): number {
  return members.reduce((sum, [id]) => sum + episodeOf(id), 0);
}
