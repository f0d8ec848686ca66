/**
 * Puts the api together: reads what it holds in memory, makes the first token, heals what a crash left half done. A copy
 * that only reads makes and heals nothing, and follows the one that writes.
 */
import type { Bus } from '@bintrail/runtime/bus.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import type { Metrics } from '@bintrail/runtime/metrics.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { createApiMetrics } from './api-metrics.ts';
import { createApp } from './app.ts';
import { createApprovalBook } from './approval-book.ts';
import { type ApprovalFollower, followApprovals } from './approval-follower.ts';
import { approvalRecord } from './approval-rows.ts';
import type { App, Deps, Status } from './deps.ts';
import { newestActionRecords } from './findings/action-rows.ts';
import { ensureFirstToken, type FirstToken } from './first-token.ts';
import { createPolicyPublisher } from './policy-publisher.ts';
import { createRateLimit } from './rate-limit.ts';
import { createSerial, refuseChanges } from './serial.ts';
import { createTokenBook } from './token-book.ts';

export type ApiOptions = {
  /** A migrated store; one copy of the api is the only writer of approvals, actions, tokens and audit rows in it. */
  readonly store: Store;
  readonly bus: Bus;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly status: () => Status;
  /** $BINTRAIL_HOME: where the first token goes. */
  readonly homeDir: string;
  /** Lower-case hex SHA-256 of a token (BINTRAIL_ADMIN_TOKEN_HASH); with it no token file is made. */
  readonly adminTokenHash?: string | undefined;
  /** Where that copy is, if it is another: this one then only reads. */
  readonly writerUrl?: string | undefined;
  /** Aborts when closing begins: open streams end then. */
  readonly closing: AbortSignal;
  /** Of each token in the long run; four times as many at once. */
  readonly requestsPerSecond?: number;
  /** Milliseconds since the epoch. */
  readonly clock?: () => number;
};

export type Api = {
  readonly app: App;
  readonly deps: Deps;
  /** null where the admin token comes from the settings, and in a copy that only reads. */
  readonly firstToken: FirstToken | null;
  /** Resolves when closed; rejects when what the copy that writes does can no longer be followed. */
  readonly done: Promise<void>;
  /** After the server was closed. */
  close(): Promise<void>;
};

/** A copy that only reads and cannot ask the store for so long takes no token any more. */
const STALE_TOKENS_MS = 60_000;

export async function openApi(options: ApiOptions): Promise<Api> {
  const { store, bus, log, status, homeDir, adminTokenHash, closing, writerUrl, clock = Date.now } = options;
  const staleMs = writerUrl === undefined ? undefined : STALE_TOKENS_MS;
  const tokens = createTokenBook({ store, log, clock, adminTokenHash, staleMs });
  await tokens.reload();
  const approvals = createApprovalBook(store);
  await approvals.reload();
  const publisher = createPolicyPublisher(bus, log);
  let firstToken: FirstToken | null = null;
  let following: ApprovalFollower | undefined;
  if (writerUrl === undefined) {
    if (adminTokenHash === undefined) firstToken = await ensureFirstToken(homeDir, tokens, clock);
    await publisher.publishMissing([...approvals.newest().map(approvalRecord), ...(await newestActionRecords(store))]);
  } else following = await followApprovals(bus, approvals, log);
  const deps: Deps = {
    store,
    bus,
    log,
    metrics: createApiMetrics(options.metrics),
    clock,
    status,
    tokens,
    approvals,
    publisher,
    rateLimit: createRateLimit(clock, options.requestsPerSecond),
    oneWriter: writerUrl === undefined ? createSerial() : refuseChanges(writerUrl),
    closing,
  };
  return {
    ...{ app: createApp(deps), deps, firstToken },
    done: following?.done ?? Promise.resolve(),
    async close() {
      await publisher.close();
      await following?.close();
    },
  };
}
