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

/**
 * What the health of a stage is read from: it says what it does with each partition, and how long it has done so shows
 * whether it is well. One partition that is stuck is not hidden by the others.
 */
export type WorkWatch = {
  began(partition: number): void;
  /** A try of the work in hand failed, and it is tried again. */
  failed(partition: number): void;
  /** It is done, or is another's now. */
  finished(partition: number): void;
  /** The stage is over, in order or by an error. */
  ended(): void;
  health(): Health;
};

/** Longer than any plan takes: an insert has a minute, but one that needs more than half of it is worth a look. */
const LONG_MS = 30_000;

type Work = { readonly beganMs: number; failures: number };

/** `clock` in milliseconds, from anywhere, never backwards. */
export function watchWork(clock: () => number = () => performance.now()): WorkWatch {
  let over = false;
  const working = new Map<number, Work>();
  const healthOf = (partition: number, { beganMs, failures }: Work): Health => {
    const tookMs = clock() - beganMs;
    const where = `${Math.round(tookMs / 1000)} s (partition ${partition})`;
    if (failures > 0) return { state: 'degraded', detail: `${failures} tries failed in ${where}, trying again` };
    return tookMs < LONG_MS ? { state: 'up' } : { state: 'degraded', detail: `at the same work for ${where}` };
  };
  return {
    began: (partition) => void working.set(partition, { beganMs: clock(), failures: 0 }),
    failed(partition) {
      const work = working.get(partition);
      if (work !== undefined) work.failures += 1;
    },
    finished: (partition) => void working.delete(partition),
    ended() {
      over = true;
    },
    health: () =>
      over ? { state: 'down' } : worstOf([...working].map(([partition, work]) => healthOf(partition, work))),
  };
}
