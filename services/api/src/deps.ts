/** What the api is given and what a handler finds in its context. Plain values: nothing here opens or reads anything. */

import type { Bus } from '@bintrail/runtime/bus.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { ApiMetrics } from './api-metrics.ts';
import type { ApprovalBook } from './approval-book.ts';
import type { PolicyPublisher } from './policy-publisher.ts';
import type { RateLimit } from './rate-limit.ts';
import type { Serial } from './serial.ts';
import type { Actor, TokenBook } from './token-book.ts';

export const PART_STATES = ['starting', 'up', 'degraded', 'down'] as const;
export type PartState = { readonly state: (typeof PART_STATES)[number]; readonly detail?: string };

/** What the host knows of the parts that run beside the api. */
export type Status = {
  readonly mode: 'live' | 'replay';
  /** Hook family of the probe; null while none has reported. */
  readonly hooks: 'lsm' | 'tracepoint' | null;
  readonly versions: Readonly<Record<string, string>>;
  readonly parts: Readonly<Record<string, PartState>>;
};

export type Deps = {
  readonly store: Store;
  readonly bus: Bus;
  readonly log: Log;
  readonly metrics: ApiMetrics;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly status: () => Status;
  readonly tokens: TokenBook;
  readonly approvals: ApprovalBook;
  readonly publisher: PolicyPublisher;
  readonly rateLimit: RateLimit;
  /** Every change runs in it, from reading what is there to the last row written; refuses where this copy only reads. */
  readonly oneWriter: Serial;
  /** Aborts when the server starts to close: long answers (streams) end then. */
  readonly closing: AbortSignal;
};

export type Env = {
  Variables: {
    deps: Deps;
    requestId: string;
    /** Who asks; set by `needs(role)` before a guarded handler runs. */
    actor: Actor;
  };
};

export type App = OpenAPIHono<Env>;
