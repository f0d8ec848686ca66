/** How a part of a process is, as it would tell an operator. */
export type Health = { readonly state: 'up' | 'degraded' | 'down'; readonly detail?: string };

const ORDER = ['down', 'degraded', 'up'] as const;

/** The worst of several, the first where they are alike; up for none. */
export function worstOf(healths: readonly Health[]): Health {
  for (const state of ORDER) {
    const found = healths.find((health) => health.state === state);
    if (found !== undefined) return found;
  }
  return { state: 'up' };
}

/** What the health of a loop is read from: it says what it does, and how long it has done so shows whether it is well. */
export type WorkWatch = {
  began(): void;
  /** A try of the work in hand failed, and it is tried again. */
  failed(): void;
  finished(): void;
  /** The loop is over, in order or by an error. */
  ended(): void;
  health(): Health;
};

/** Longer than any plan takes: an insert has a minute, but one that needs more than half of it is worth a look. */
const LONG_MS = 30_000;

/** `clock` in milliseconds, from anywhere, never backwards. */
export function watchWork(clock: () => number = () => performance.now()): WorkWatch {
  let over = false;
  let beganMs: number | undefined;
  let failures = 0;
  const finished = (): void => {
    beganMs = undefined;
    failures = 0;
  };
  return {
    began() {
      beganMs = clock();
      failures = 0;
    },
    failed() {
      failures += 1;
    },
    finished,
    ended() {
      over = true;
    },
    health() {
      if (over) return { state: 'down' };
      if (beganMs === undefined) return { state: 'up' };
      const tookMs = clock() - beganMs;
      const seconds = Math.round(tookMs / 1000);
      if (failures > 0) return { state: 'degraded', detail: `${failures} tries failed in ${seconds} s, trying again` };
      return tookMs < LONG_MS ? { state: 'up' } : { state: 'degraded', detail: `at the same work for ${seconds} s` };
    },
  };
}
