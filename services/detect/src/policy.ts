import { applyPolicyRecords, createPolicyView, type PolicyView } from '@bintrail/analysis/policy-view.ts';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';

export type PolicyFollower = {
  /** The policy as known now; a value that does not change. */
  view(): PolicyView;
  /** Resolves when closed; rejects when the bus fails. */
  readonly done: Promise<void>;
  close(): Promise<void>;
};

export type PolicyListener = {
  /** A record that is none, which is left out. */
  invalid(record: { readonly key: string; readonly offset: number }): void;
  changed(view: PolicyView): void;
};

/**
 * Follows approvals and finding actions from their beginning. Resolves once everything published before the call is
 * known.
 */
export async function followPolicy(bus: Bus, listener: PolicyListener): Promise<PolicyFollower> {
  let view = createPolicyView();
  const follower = await bus.follow(TOPICS.policy, (records) => {
    view = applyPolicyRecords(view, records, ({ key, offset }) => listener.invalid({ key, offset }));
    listener.changed(view);
  });
  return { view: () => view, done: follower.done, close: () => follower.close() };
}
