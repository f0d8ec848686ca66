/** How much may be read in a second: a bucket that fills up with time. One large file may leave it in debt. */
export type ByteBudget = {
  /** False while there is nothing left, or a debt. */
  readonly hasSome: (nowMs: number) => boolean;
  readonly spend: (bytes: number) => void;
};

/** What is not used in this time is lost: no more than that is read at once. */
const BURST_S = 1;

/** `bytesPerS` undefined: without a limit. */
export function createByteBudget(bytesPerS: number | undefined): ByteBudget {
  if (bytesPerS === undefined) return { hasSome: () => true, spend: () => {} };
  let left = bytesPerS * BURST_S;
  let atMs: number | undefined;
  return {
    hasSome: (nowMs) => {
      left = Math.min(bytesPerS * BURST_S, left + ((nowMs - (atMs ?? nowMs)) / 1_000) * bytesPerS);
      atMs = nowMs;
      return left > 0;
    },
    spend: (bytes) => {
      left -= bytes;
    },
  };
}
