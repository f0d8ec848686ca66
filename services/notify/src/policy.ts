import { applyPolicyRecords, createPolicyView } from '@bintrail/analysis/policy-view.ts';
import type { Bus, BusRecord } from '@bintrail/runtime/bus.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import type { Policy } from './review.ts';

export type PolicyFollower = {
  now(): Policy;
  /**
   * Resolves once everything that is on the bus as of the call is known: what detect knew when it published a finding
   * was there before it.
   */
  catchUp(): Promise<void>;
  readonly done: Promise<void>;
  close(): Promise<void>;
};

/** Follows approvals and actions from the beginning; resolves once the end as of the call was read. */
export async function followPolicy(bus: Bus, onUnreadable: (key: string) => void): Promise<PolicyFollower> {
  let view = createPolicyView();
  const apply = (records: readonly BusRecord[]) => {
    view = applyPolicyRecords(view, records, ({ key }) => onUnreadable(key));
  };
  const follower = await bus.follow(TOPICS.policy, apply);
  return {
    now: () => {
      const { revision, approvals, actions } = view;
      return { revision, approvals, episodeOf: (findingId) => actions.get(findingId)?.episode ?? 0 };
    },
    catchUp: follower.catchUp,
    done: follower.done,
    close: () => follower.close(),
  };
}
