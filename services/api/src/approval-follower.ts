/** How a copy that only reads learns what the one that writes approves: from `bintrail.policy`, as detect does. */
import { readPolicyRecord } from '@bintrail/analysis/policy-view.ts';
import type { Bus } from '@bintrail/runtime/bus.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import type { ApprovalBook } from './approval-book.ts';

export type ApprovalFollower = {
  /** Rejects when the bus fails for good: the book would no longer change. */
  readonly done: Promise<void>;
  close(): Promise<void>;
};

/** Resolves once the book holds everything that was on the bus at the call. */
export async function followApprovals(bus: Bus, book: Pick<ApprovalBook, 'take'>, log: Log): Promise<ApprovalFollower> {
  return await bus.follow(TOPICS.policy, (records) => {
    const states = records.flatMap(({ key, offset, value }) => {
      const record = readPolicyRecord(value);
      if (record === undefined) log.warn({ key, offset }, 'a policy record that cannot be read is left out');
      return record?.kind === 'approval' ? [record] : [];
    });
    if (states.length > 0) book.take(states);
  });
}
