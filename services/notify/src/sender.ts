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
import type { Delivery, Pending } from './delivery.ts';
import type { Holding } from './holdings.ts';
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
  /** The partitions this copy has. */
  readonly holdings: () => Iterable<Holding>;
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
  /** A partition came here: until when its last owner had to leave the webhook alone holds for this one, too. */
  heed(ledger: Ledger): void;
  /** Resolves once no post about a partition is under way, and the last one is recorded where that can be. */
  settled(partition: number): Promise<void>;
  /** Whether this sender plans or makes that post now. */
  isOwnPost(deliveryId: string): boolean;
  /** Waits for a post under way and its record; a record that cannot be written then stays `planned`. */
  close(): Promise<void>;
};

type Running = SenderDeps & {
  readonly alarm: Alarm;
  readonly closing: AbortSignal;
  pausedUntilMs: number;
  /** Posts in a row that failed for the webhook as a whole. */
  failures: number;
  current: { readonly partition: number; readonly deliveryId: string; readonly done: Promise<void> } | undefined;
};

const BUS_RETRY_MS = 1000;
/** How soon a partition that was not certainly ours is looked at again. */
const UNCERTAIN_MS = 1000;

/** The one loop that posts. It starts at once, but posts only after one interval: an earlier run may just have. */
export function startSender(deps: SenderDeps): Sender {
  const closing = new AbortController();
  const running: Running = {
    ...deps,
    alarm: createAlarm(deps.sleep),
    closing: closing.signal,
    pausedUntilMs: deps.clock() + deps.intervalMs,
    failures: 0,
    current: undefined,
  };
  const done = run(running);
  return {
    done,
    get pausedUntilMs() {
      return running.pausedUntilMs;
    },
    wake: running.alarm.ring,
    heed(ledger) {
      running.pausedUntilMs = Math.max(running.pausedUntilMs, earlierPauseMs(ledger, deps.clock()));
      running.alarm.ring();
    },
    async settled(partition) {
      while (running.current?.partition === partition) await running.current.done;
    },
    isOwnPost: (deliveryId) => running.current?.deliveryId === deliveryId,
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
function idleMs({ holdings, clock, pausedUntilMs }: Running): number {
  const nowMs = clock();
  let dueMs = Number.POSITIVE_INFINITY;
  for (const { ledger, mayPost } of holdings()) {
    if (ledger.waiting > 0 && !mayPost()) dueMs = Math.min(dueMs, nowMs + UNCERTAIN_MS);
    else for (const delivery of ledger.pending()) dueMs = Math.min(dueMs, dueAtMs(delivery, nowMs));
  }
  return Math.max(dueMs, pausedUntilMs) - nowMs;
}

/** Withdraws what nobody needs any more, and posts one message about what is due. */
async function postNext(running: Running): Promise<void> {
  const { holdings, policy, clock, report } = running;
  for (const holding of holdings()) {
    const { ledger } = holding;
    if (!holding.mayPost()) continue;
    const withdrawn = await persist(running, holding, () => withdrawals(ledger.pending(), policy(), clock()));
    if (withdrawn !== undefined && withdrawn.length > 0) report({ kind: 'withdrawn', groups: withdrawn.length });
  }
  const next = nextDue(running);
  if (next === undefined || running.closing.aborted) return;
  const deliveryId = randomUUID();
  const { promise: done, resolve } = Promise.withResolvers<void>();
  running.current = { partition: next.holding.partition, deliveryId, done };
  try {
    await postDue(running, next, deliveryId);
  } finally {
    running.current = undefined;
    resolve();
  }
}

type Due = { readonly holding: Holding; readonly due: readonly Pending[] };

/** What has waited longest. A message tells of groups of one partition: that is written whole or not at all. */
function nextDue(running: Running): Due | undefined {
  let oldest: Due | undefined;
  for (const holding of running.holdings()) {
    const due = holding.mayPost() ? nextGroups(holding.ledger.pending(), running.clock(), running) : [];
    const [first] = due;
    const before = oldest?.due[0];
    if (first !== undefined && (before === undefined || first.queued_at < before.queued_at)) oldest = { holding, due };
  }
  return oldest;
}

async function postDue(running: Running, { holding, due }: Due, deliveryId: string): Promise<void> {
  const { policy, clock } = running;
  const shown = due.length === 1 ? shownFinding(due[0]!, policy(), clock()) : undefined;
  const counts = shown && (await running.counts(shown));
  if (running.closing.aborted || !holding.mayPost()) return;
  const known = new Map(shown && counts ? [[shown.finding_id, counts]] : []);
  const ids = due.map(({ group_id: id }) => id);
  let composed: Composed | undefined;
  const planned = await persist(running, holding, (get) => {
    composed = compose(ids, get, known, policy(), clock(), running);
    return composed?.groups.map((delivery) => plan(delivery, deliveryId, clock())) ?? [];
  });
  if (planned !== undefined && composed !== undefined) await postPlanned(running, holding, deliveryId, composed);
}

async function postPlanned(
  running: Running,
  holding: Holding,
  deliveryId: string,
  { message, groups }: Composed,
): Promise<void> {
  const result = await running.post(message, holding.isOurs);
  const nowMs = running.clock();
  const retry = nextTry(running, result, groups[0]!.plain);
  running.pausedUntilMs = nowMs + Math.max(running.intervalMs, retry?.scope === 'webhook' ? retry.waitMs : 0);
  running.report({ kind: 'posted', deliveryId, groups: groups.length, result, retry });
  await persist(running, holding, (get) =>
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

/** Commits once the bus takes it; undefined when closed before that, or when the partition is another's. */
async function persist(
  { report, sleep, closing }: Running,
  { ledger, over }: Holding,
  change: (get: Lookup) => readonly Delivery[],
): Promise<readonly Delivery[] | undefined> {
  while (true) {
    try {
      return await ledger.commit(change);
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      if (over.aborted) return undefined;
      report({ kind: 'bus-down', cause: error });
      if (closing.aborted) return undefined;
      await sleep(Math.max(BUS_RETRY_MS, error.retryAfterMs), closing);
    }
  }
}
