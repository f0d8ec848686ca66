/**
 * When the rings are looked into. A wake-up costs more than what an exec brings, so while anything happens they are looked
 * into on a timer, and the kernel rings only for what cannot wait (bpf/bell.h). Once nothing happens it rings for all.
 */
export type Gatherer = {
  /** Looks now, and again in a moment. Resolves when what was there is taken. */
  readonly look: () => Promise<void>;
  /** Looks no more by itself; resolves when a look under way has ended. */
  readonly stop: () => Promise<void>;
};

export type GathererOptions = {
  /** Takes what the rings hold, as much of it as it can hold. */
  readonly take: () => Promise<void>;
  readonly backlogBytes: () => number;
  /** Tells the kernel whether we look by ourselves. */
  readonly setGathering: (on: boolean) => void;
  readonly onFatal: (error: unknown) => void;
};

/** What an event may be late by. A row waits ten times as long for others before it leaves. */
const GATHER_MS = 50;
/** More than one look takes: it goes on at once. */
const MUCH_BYTES = 1024 * 1024;

export function createGatherer({ take, backlogBytes, setGathering, onFatal }: GathererOptions): Gatherer {
  let timer: NodeJS.Timeout | undefined;
  let isGathering = false;
  let isStopped = false;
  let last: Promise<void> = Promise.resolve();

  const gather = (on: boolean) => {
    isGathering = on;
    setGathering(on);
  };
  const arm = () => {
    if (!isStopped) timer ??= setTimeout(tick, backlogBytes() > MUCH_BYTES ? 0 : GATHER_MS);
  };
  const look = (): Promise<void> => {
    gather(true);
    last = last.then(take);
    return last.then(arm);
  };
  /** An event may have just missed that we listen again: so it is looked for once more before the timer rests. */
  const tick = () => {
    timer = undefined;
    if (backlogBytes() > 0) look().catch(onFatal);
    else if (isGathering) {
      gather(false);
      arm();
    }
  };
  const stop = () => {
    isStopped = true;
    clearTimeout(timer);
    return last;
  };
  return { look, stop };
}
