import type { Finding } from '@bintrail/schemas/finding.ts';
import type { Verdict } from '@bintrail/schemas/sighting.ts';
import type { Counts } from './compose.ts';

/** One finding group as it stands at the time of posting: what a message is made of. */
export type Alert = {
  /** The finding that is shown; the first of the group that still needs somebody. */
  readonly finding: Finding;
  /** How often the group was resolved before. */
  readonly episode: number;
  /** Judged just before posting, and the policy revision it was judged with. */
  readonly verdict: Verdict;
  readonly policyRevision: number;
  /** Further workloads of the group, and how many more there are at least. */
  readonly otherWorkloads: readonly string[];
  readonly moreWorkloads: number;
  /** Sightings, nodes, the time of the oldest sighting and the container when posted; undefined when the store did not say in time. */
  readonly counts: Counts | undefined;
  /** An earlier attempt was sent and its answer lost: the message may be in the channel already. */
  readonly mayRepeat: boolean;
};
