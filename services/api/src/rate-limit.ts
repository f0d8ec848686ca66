/** Token buckets: a key may ask `burst` times at once, and `perSecond` times a second in the long run. */
export type RateLimit = {
  /** 0 when the request may go on, else milliseconds until it may. */
  take(key: string): number;
};

/** Per API token: 100 requests a second, 400 at once. A dashboard with 40 panels refreshed every 5 s asks for 8. */
const DEFAULT_PER_SECOND = 100;
const BURST_SECONDS = 4;
// Keys can be made up by whoever sends requests (addresses): the oldest give way.
const MAX_KEYS = 10_000;

type Bucket = { level: number; atMs: number };

export function createRateLimit(
  clock: () => number,
  perSecond: number = DEFAULT_PER_SECOND,
  burst: number = perSecond * BURST_SECONDS,
): RateLimit {
  const buckets = new Map<string, Bucket>();
  return {
    take(key) {
      const nowMs = clock();
      const bucket = buckets.get(key) ?? { level: burst, atMs: nowMs };
      // A clock set back must not empty the bucket.
      const passedMs = Math.max(0, nowMs - bucket.atMs);
      bucket.level = Math.min(burst, bucket.level + (passedMs * perSecond) / 1000);
      bucket.atMs = nowMs;
      buckets.delete(key);
      buckets.set(key, bucket);
      if (buckets.size > MAX_KEYS) buckets.delete(buckets.keys().next().value!);
      if (bucket.level < 1) return Math.ceil(((1 - bucket.level) * 1000) / perSecond);
      bucket.level -= 1;
      return 0;
    },
  };
}
