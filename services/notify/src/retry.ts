import type { PostResult } from './slack.ts';

export type RetryPolicy = {
  /** First wait after a refused or lost post; doubled with each further one up to the cap. */
  readonly baseMs: number;
  readonly capMs: number;
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

/**
 * What follows from a post that was not `sent`. `failures` counts the posts in a row that failed for the webhook as a
 * whole, this one included. One sender per webhook, so there is no herd to spread by jitter.
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
  const backoffMs = Math.min(policy.capMs, policy.baseMs * 2 ** Math.min(30, failures - 1));
  const askedMs = result.kind === 'refused' ? result.retryAfterMs : undefined;
  const waitMs = askedMs === undefined ? backoffMs : Math.min(askedMs, policy.maxRetryAfterMs);
  return { scope: 'webhook', waitMs, plain: false };
}
