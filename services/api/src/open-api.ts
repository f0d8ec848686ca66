/** Puts the api together: reads what it holds in memory, makes the first token, heals what a crash left half done. */
import type { Bus } from '@bintrail/runtime/bus.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import type { Metrics } from '@bintrail/runtime/metrics.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { createApiMetrics } from './api-metrics.ts';
import { createApp } from './app.ts';
import { createApprovalBook } from './approval-book.ts';
import { approvalRecord } from './approval-rows.ts';
import type { App, Deps, Status } from './deps.ts';
import { newestActionRecords } from './findings/action-rows.ts';
import { ensureFirstToken, type FirstToken } from './first-token.ts';
import { createPolicyPublisher } from './policy-publisher.ts';
import { createRateLimit } from './rate-limit.ts';
import { createSerial } from './serial.ts';
import { createTokenBook } from './token-book.ts';

export type ApiOptions = {
  /** A migrated store; the api is the only writer of approvals, actions, tokens and audit rows in it. */
  readonly store: Store;
  readonly bus: Bus;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly status: () => Status;
  /** $BINTRAIL_HOME: where the first token goes. */
  readonly homeDir: string;
  /** Lower-case hex SHA-256 of a token (BINTRAIL_ADMIN_TOKEN_HASH); with it no token file is made. */
  readonly adminTokenHash?: string | undefined;
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
  /** null where the admin token comes from the settings. */
  readonly firstToken: FirstToken | null;
  /** After the server was closed. */
  close(): Promise<void>;
};

export async function openApi(options: ApiOptions): Promise<Api> {
  const { store, bus, log, status, homeDir, adminTokenHash, closing, clock = Date.now } = options;
  const tokens = createTokenBook({ store, log, clock, adminTokenHash });
  await tokens.reload();
  const firstToken = adminTokenHash === undefined ? await ensureFirstToken(homeDir, tokens, clock) : null;
  const approvals = createApprovalBook(store);
  await approvals.reload();
  const publisher = createPolicyPublisher(bus, log);
  await publisher.publishMissing([...approvals.newest().map(approvalRecord), ...(await newestActionRecords(store))]);
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
    oneWriter: createSerial(),
    closing,
  };
  return { app: createApp(deps), deps, firstToken, close: () => publisher.close() };
}
