/** Waits until the time has come or somebody rings; a ring while nobody waits ends the next wait at once. */
export type Alarm = { ring(): void; wait(ms: number): Promise<void> };

/** Resolves after that time, or when the signal is aborted. */
export type Sleep = (ms: number, signal: AbortSignal) => Promise<void>;

/** Timers take at most 2^31 − 1 ms; longer waits end early, which only costs a look around. */
const MAX_SLEEP_MS = 2 ** 31 - 1;

export const sleep: Sleep = (ms, signal) =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(resolve, Math.min(ms, MAX_SLEEP_MS));
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });

export function createAlarm(sleepFor: Sleep = sleep): Alarm {
  let rung = false;
  let stop: AbortController | undefined;
  return {
    ring() {
      rung = true;
      stop?.abort();
    },
    async wait(ms) {
      if (!rung && ms > 0) {
        stop = new AbortController();
        const { signal } = stop;
        if (Number.isFinite(ms)) await sleepFor(ms, signal);
        else await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      }
      rung = false;
      stop = undefined;
    },
  };
}
