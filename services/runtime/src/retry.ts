import { setTimeout as delay } from 'node:timers/promises';
import { Transient } from './errors.ts';

/** First and longest wait between tries. */
export type Backoff = { readonly baseMs: number; readonly capMs: number };

/** A timer set to more than this fires at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Repeats `work` while it throws Transient; throws the signal's reason instead of waiting once it has aborted. */
export async function retry<T>(
  work: () => Promise<T>,
  backoff: Backoff,
  signal: AbortSignal | undefined,
  onWait: (error: Transient, waitMs: number) => void,
): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      const waitMs = backoffMs(attempt, error.retryAfterMs, backoff, Math.random());
      onWait(error, waitMs);
      await wait(waitMs, signal);
    }
  }
}

/**
 * How long to wait before try `attempt + 2`: doubling from `baseMs` to `capMs`, of which `random` (0 to 1) takes away
 * up to half so that many do not return at once, and never less than the dependency asked for.
 */
export function backoffMs(attempt: number, retryAfterMs: number, { baseMs, capMs }: Backoff, random: number): number {
  const ownMs = Math.min(capMs, baseMs * 2 ** attempt) * (1 - random / 2);
  return Math.min(MAX_TIMER_MS, Math.max(retryAfterMs, ownMs));
}

async function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(ms, undefined, signal && { signal });
  } catch (error) {
    throw signal?.reason ?? error;
  }
}
