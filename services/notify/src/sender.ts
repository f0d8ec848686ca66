import { randomUUID } from 'node:crypto';
import { Transient } from '@bintrail/runtime/errors.ts';
import type { Finding } from '@bintrail/schemas/finding.ts';
import { type Alarm, createAlarm, type Sleep } from './alarm.ts';
import {
  type Composed,
  type ComposeOptions,
  type Counts,
  compose,
  nextGroups,
  shownFinding,
  withdrawals,
} from './compose.ts';
import type { Delivery } from './delivery.ts';
import type { Ledger, Lookup } from './ledger.ts';
import { type Retry, type RetryPolicy, retryAfter } from './retry.ts';
import type { Policy } from './review.ts';
import type { Post, PostResult } from './slack.ts';
import { dueAtMs, plan, settle } from './transitions.ts';

/** What the sender did, for logs and metrics. */
export type SenderEvent =
  | { readonly kind: 'withdrawn'; readonly groups: number }
  | {
      readonly kind: 'posted';
      readonly deliveryId: string;
      readonly groups: number;
      readonly result: PostResult;
      /** When the next attempt is due, where one is. */
      readonly retry: Retry | undefined;
    }
  | { readonly kind: 'bus-down'; readonly cause: Transient };

export type SenderDeps = ComposeOptions & {
  readonly ledger: Ledger;
  readonly policy: () => Policy;
  readonly post: Post;
  /** Undefined when they are not known in time. */
  readonly counts: (finding: Finding) => Promise<Counts | undefined>;
  readonly report: (event: SenderEvent) => void;
  readonly clock: () => number;
  readonly sleep: Sleep;
  /** Least time between the end of a post and the start of the next. */
  readonly intervalMs: number;
  readonly retry: RetryPolicy;
};

export type Sender = {
  /** Rejects with a bug; faults of the bus and of Slack are waited out. */
  readonly done: Promise<void>;
  /** Nothing is posted before this time, in milliseconds since the epoch. */
  readonly pausedUntilMs: number;
  /** Something may be due. */
  wake(): void;
  /** Waits for a post under way and its record; a record that cannot be written then stays `planned`. */
  close(): Promise<void>;
};

type Running = SenderDeps & {
  readonly alarm: Alarm;
  readonly closing: AbortSignal;
  pausedUntilMs: number;
  /** Posts in a row that failed for the webhook as a whole. */
  failures: number;
};

const BUS_RETRY_MS = 1000;

/** The one loop that posts. It starts at once, but posts only after one interval: an earlier run may just have. */
export function startSender(deps: SenderDeps): Sender {
  const closing = new AbortController();
  const nowMs = deps.clock();
  const running: Running = {
    ...deps,
    alarm: createAlarm(deps.sleep),
    closing: closing.signal,
    pausedUntilMs: Math.max(nowMs + deps.intervalMs, earlierPauseMs(deps.ledger, nowMs)),
    failures: 0,
  };
  const done = run(running);
  return {
    done,
    get pausedUntilMs() {
      return running.pausedUntilMs;
    },
    wake: running.alarm.ring,
    async close() {
      closing.abort();
      running.alarm.ring();
      await done.catch(() => {});
    },
  };
}

/** Until when an earlier run had to leave the webhook alone. */
function earlierPauseMs(ledger: Ledger, nowMs: number): number {
  let untilMs = 0;
  for (const delivery of ledger.pending()) {
    if (delivery.state === 'failed' && delivery.outcome !== 'rejected') {
      untilMs = Math.max(untilMs, dueAtMs(delivery, nowMs));
    }
  }
  return untilMs;
}

async function run(running: Running): Promise<void> {
  while (!running.closing.aborted) {
    const waitMs = idleMs(running);
    if (waitMs > 0) await running.alarm.wait(waitMs);
    else await postNext(running);
  }
}

/** How long there is nothing to post; infinite while nothing waits. */
function idleMs({ ledger, clock, pausedUntilMs }: Running): number {
  const nowMs = clock();
  let dueMs = Number.POSITIVE_INFINITY;
  for (const delivery of ledger.pending()) dueMs = Math.min(dueMs, dueAtMs(delivery, nowMs));
  return Math.max(dueMs, pausedUntilMs) - nowMs;
}

/** Withdraws what nobody needs any more, and posts one message about what is due. */
async function postNext(running: Running): Promise<void> {
  const { ledger, policy, clock, report } = running;
  const withdrawn = await persist(running, () => withdrawals(ledger.pending(), policy(), clock()));
  if (withdrawn !== undefined && withdrawn.length > 0) report({ kind: 'withdrawn', groups: withdrawn.length });
  const due = nextGroups(ledger.pending(), clock(), running);
  const shown = due.length === 1 ? shownFinding(due[0]!, policy(), clock()) : undefined;
  const counts = shown && (await running.counts(shown));
  if (due.length === 0 || running.closing.aborted) return;

  const known = new Map(shown && counts ? [[shown.finding_id, counts]] : []);
  const ids = due.map(({ group_id: id }) => id);
  const deliveryId = randomUUID();
  let composed: Composed | undefined;
  const planned = await persist(running, (get) => {
    composed = compose(ids, get, known, policy(), clock(), running);
    return composed?.groups.map((delivery) => plan(delivery, deliveryId, clock())) ?? [];
  });
  if (planned !== undefined && composed !== undefined) await postPlanned(running, deliveryId, composed);
}

async function postPlanned(running: Running, deliveryId: string, { message, groups }: Composed): Promise<void> {
  const result = await running.post(message);
  const nowMs = running.clock();
  const retry = nextTry(running, result, groups[0]!.plain);
  running.pausedUntilMs = nowMs + Math.max(running.intervalMs, retry?.scope === 'webhook' ? retry.waitMs : 0);
  running.report({ kind: 'posted', deliveryId, groups: groups.length, result, retry });
  await persist(running, (get) =>
    groups.flatMap(({ group_id: id }) => {
      // A finding may have opened the group's next episode meanwhile: then that is what there is to tell.
      const current = get(id);
      const ours = current?.state === 'planned' && current.delivery_id === deliveryId;
      return ours ? [settle(current, result, retry, nowMs)] : [];
    }),
  );
}

function nextTry(running: Running, result: PostResult, wasPlain: boolean): Retry | undefined {
  if (result.kind === 'sent') {
    running.failures = 0;
    return undefined;
  }
  const retry = retryAfter(result, wasPlain, running.failures + 1, running.retry);
  running.failures = retry.scope === 'webhook' ? running.failures + 1 : 0;
  return retry;
}

/** Commits once the bus takes it; undefined when closed before that. */
async function persist(
  { ledger, report, sleep, closing }: Running,
  change: (get: Lookup) => readonly Delivery[],
): Promise<readonly Delivery[] | undefined> {
  while (true) {
    try {
      return await ledger.commit(change);
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      report({ kind: 'bus-down', cause: error });
      if (closing.aborted) return undefined;
      await sleep(Math.max(BUS_RETRY_MS, error.retryAfterMs), closing);
    }
  }
}
