import type { Bus } from '@bintrail/runtime/bus.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import { type Health, worstOf } from '@bintrail/runtime/health.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import type { Metrics } from '@bintrail/runtime/metrics.ts';
import { pump } from '@bintrail/runtime/pump.ts';
import type { Finding } from '@bintrail/schemas/finding.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { sleep as realSleep, type Sleep } from './alarm.ts';
import type { ApiAccess } from './commands.ts';
import type { Counts } from './compose.ts';
import { countInTime } from './counts.ts';
import { followDeliveries, requireSamePartitions } from './deliveries.ts';
import { timestamp } from './delivery.ts';
import { createHoldings } from './holdings.ts';
import { STAGE, takeIn } from './intake.ts';
import { followPolicy } from './policy.ts';
import { createReport, type LastPost } from './report.ts';
import { DEFAULT_RETRY, type RetryPolicy } from './retry.ts';
import { type Sender, startSender } from './sender.ts';
import { createPost } from './slack.ts';

export type NotifyOptions = ApiAccess & {
  readonly bus: Bus;
  readonly log: Log;
  readonly metrics: Metrics;
  /**
   * Slack incoming webhook; a secret. Without one every group is recorded as withdrawn: a webhook that is set later
   * tells of what is new from then on, and is not flooded with what the api has shown all along.
   */
  readonly webhookUrl: string | undefined;
  /** Sightings and nodes of a finding, for the message. */
  readonly counts?: (finding: Finding) => Promise<Counts>;
  readonly clock?: () => number;
  readonly sleep?: Sleep;
  /** Least time between two posts. Default 1 s: Slack's documented limit for incoming webhooks. */
  readonly intervalMs?: number;
  /** With more groups waiting than this, they are told in a summary. Default 10. */
  readonly bundleOver?: number;
  /** For one whole exchange. Default 10 s: Slack answers within one, and a slow proxy within a few. */
  readonly postTimeoutMs?: number;
  readonly retry?: RetryPolicy;
  /** Ends the wait for a bus that is away at the start. */
  readonly signal?: AbortSignal;
};

export type NotifyStatus = {
  readonly webhook: 'set' | 'unset';
  /** Of findings and deliveries, that this copy has now. */
  readonly partitions: readonly number[];
  /** Groups that are still to be posted. */
  readonly waiting: number;
  readonly paused_until: string | null;
  readonly last_post: LastPost | null;
};

export type Notify = {
  /** Resolves when closed; rejects with a bug. */
  readonly done: Promise<void>;
  close(): Promise<void>;
  status(): NotifyStatus;
  /** Degraded while the last post did not get through. */
  health(): Health;
  /** Resolves while it takes part in telling; rejects with why not. */
  ready(): Promise<void>;
};

const SECOND_MS = 1000;
const POST_TIMEOUT_MS = 10_000;

/**
 * Findings → Slack. Resolves once deliveries and policy were read to their end and findings are consumed. Copies share the
 * partitions: a group is one copy's, until that gives its partition up or is not heard of any more.
 * @throws SetupError when the webhook URL is none, or the topics have different numbers of partitions.
 */
export async function createNotify(options: NotifyOptions): Promise<Notify> {
  const { bus, log, metrics, webhookUrl, clock = Date.now, sleep = realSleep } = options;
  const hasWebhook = webhookUrl !== undefined;
  const post = hasWebhook
    ? createPost(webhookUrl, { timeoutMs: options.postTimeoutMs ?? POST_TIMEOUT_MS, clock })
    : undefined;
  const report = createReport(log, metrics, clock);
  await requireSamePartitions(bus, log, options.signal);
  const deliveries = await followDeliveries(bus, (key) => report.unreadable(TOPICS.deliveries, key));
  const policy = await followPolicy(bus, (key) => report.unreadable(TOPICS.policy, key));
  const { counts } = options;
  let sender: Sender | undefined;
  const holdings = createHoldings({ bus, deliveries, sender: () => sender, onWaiting: report.waiting });
  sender =
    post &&
    startSender({
      ...{ holdings: holdings.all, post, clock, sleep, report: report.sender, policy: policy.now },
      counts: async (finding) => counts && countInTime(counts, finding, log),
      access: { apiUrl: options.apiUrl.replace(/\/+$/, ''), tokenPath: options.tokenPath },
      intervalMs: options.intervalMs ?? SECOND_MS,
      bundleOver: options.bundleOver ?? 10,
      retry: options.retry ?? DEFAULT_RETRY,
    });
  const intake = pump({
    ...{ bus, log, metrics, stage: STAGE, topic: TOPICS.findings, group: 'notify', deadTopic: TOPICS.dead },
    maxRecords: 500,
    maxBytes: 4 * 1024 * 1024,
    taken: holdings.take,
    process: async (plan) => {
      const ledger = holdings.of(plan.partition)?.ledger;
      if (ledger === undefined) throw new Transient('the partition is another copy’s now');
      const processed = await takeIn(plan, { ledger, policy, hasWebhook, clock });
      sender?.wake();
      return processed;
    },
  });
  const watch = { over: false };
  const sending = sender?.done.finally(() => {
    watch.over = true;
  });
  return {
    done: Promise.all([intake.done, policy.done, deliveries.done, sending]).then(() => {}),
    async close() {
      await Promise.all([intake.close(), sender?.close()]);
      await policy.close();
      await deliveries.close();
    },
    status: () => ({
      webhook: hasWebhook ? 'set' : 'unset',
      partitions: [...holdings.all()].map(({ partition }) => partition),
      waiting: holdings.waiting,
      paused_until: sender && sender.pausedUntilMs > clock() ? timestamp(sender.pausedUntilMs) : null,
      last_post: report.lastPost(),
    }),
    ready: intake.ready,
    health: () => worstOf([watch.over ? { state: 'down' } : postHealth(report.lastPost()), intake.health()]),
  };
}

function postHealth(last: LastPost | null): Health {
  if (last === null || last.result === 'sent') return { state: 'up' };
  return { state: 'degraded', detail: `the last post was ${last.result}: ${last.remedy ?? last.code ?? 'no reason'}` };
}
