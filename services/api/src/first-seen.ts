/** `first_seen_since` of a list: like the window, a relative time is resolved once and travels in the cursor. */
import { z } from '@hono/zod-openapi';
import { parseTime, TIME_MAX_NS } from './time.ts';

/** Part of a cursor's key. As far as DateTime64 goes: a forged one must not become an error of the store. */
export const pinnedTime = z
  .string()
  .refine((text) => /^\d{1,19}$/.test(text) && BigInt(text) <= TIME_MAX_NS)
  .nullable();

/** Nanoseconds since the epoch. */
export function firstSeenSince(
  asked: string | undefined,
  pinned: string | null | undefined,
  nowMs: number,
): bigint | undefined {
  if (typeof pinned === 'string') return BigInt(pinned);
  return asked === undefined ? undefined : parseTime(asked, nowMs);
}

export function pin(timeNs: bigint | undefined): string | null {
  return timeNs === undefined ? null : String(timeNs);
}
