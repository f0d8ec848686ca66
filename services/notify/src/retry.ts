import { type Backoff, backoffMs } from '@bintrail/runtime/retry.ts';
import type { PostResult } from './slack.ts';

/** The backoff is of posts that were refused or lost. */
export type RetryPolicy = Backoff & {
  /** Wait when every message is rejected, until somebody mends the webhook; also after a restart it is tried at once. */
  readonly webhookRejectedMs: number;
  /** Wait for a message that Slack takes in no form. */
  readonly messageRejectedMs: number;
  /** A Retry-After beyond this is not believed. */
  readonly maxRetryAfterMs: number;
};

export const DEFAULT_RETRY: RetryPolicy = {
  baseMs: 1000,
  capMs: 60_000,
  webhookRejectedMs: 10 * 60_000,
  messageRejectedMs: 60 * 60_000,
  maxRetryAfterMs: 60 * 60_000,
};

/** When to try again. `webhook`: nothing at all is posted before; `message`: only this message waits. */
export type Retry = { readonly scope: 'webhook' | 'message'; readonly waitMs: number; readonly plain: boolean };

/** One sender per webhook: there is no herd to spread. */
const NO_JITTER = 0;

/**
 * What follows from a post that was not `sent`. `failures` counts the posts in a row that failed for the webhook as a
 * whole, this one included.
 */
export function retryAfter(
  result: Exclude<PostResult, { kind: 'sent' }>,
  wasPlain: boolean,
  failures: number,
  policy: RetryPolicy,
): Retry {
  if (result.kind === 'rejected') {
    if (result.scope === 'webhook') return { scope: 'webhook', waitMs: policy.webhookRejectedMs, plain: false };
    return { scope: 'message', waitMs: wasPlain ? policy.messageRejectedMs : 0, plain: true };
  }
  const askedMs = result.kind === 'refused' ? result.retryAfterMs : undefined;
  const waitMs =
    askedMs === undefined ? backoffMs(failures - 1, 0, policy, NO_JITTER) : Math.min(askedMs, policy.maxRetryAfterMs);
  return { scope: 'webhook', waitMs, plain: false };
}
