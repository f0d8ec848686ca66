import { type FSWatcher, watch } from 'node:fs';
import { type BusFile, touchWakeFile } from './sqlite-file.ts';

/** How readers learn of new records without asking all the time. */
export type Wake = {
  /** Grows with every wake-up; take it before looking for work, hand it to `changed` after finding none. */
  version(): number;
  /** Resolves at once when anything happened since `seen`, else at the next wake-up. */
  changed(seen: number): Promise<void>;
  /** Wakes readers in this process and, through the wake file, in others. */
  announce(): void;
  /** Wakes readers in this process only. */
  nudge(): void;
  /** Keeps watching, and the process alive, until the returned function is called. */
  hold(): () => void;
};

/** Catches an announcement lost between another process's commit and its touch, when that process died there. */
const SLOW_POLL_MS = 1_000;
/** Where the kernel offers no watch; costs 0.4 % of a core against 0.01 % with one. */
const FAST_POLL_MS = 40;

/** A watch on the wake file (inotify: 0.1 ms, free while idle) with a slow look at SQLite's change counter behind. */
export function createWake(file: BusFile): Wake {
  const dataVersion = file.db.prepare('PRAGMA data_version');
  const readVersion = (): unknown => {
    try {
      return dataVersion.get()?.data_version;
    } catch {
      // Locked: whoever holds the file may have written, so let the readers look for themselves.
      return undefined;
    }
  };
  let version = 0;
  let waiters: (() => void)[] = [];
  let holders = 0;
  let stop: (() => void) | undefined;

  const nudge = (): void => {
    version += 1;
    const woken = waiters;
    waiters = [];
    for (const wakeUp of woken) wakeUp();
  };

  return {
    version: () => version,
    nudge,
    changed: (seen) => (version === seen ? new Promise((resolve) => waiters.push(resolve)) : Promise.resolve()),
    announce() {
      nudge();
      touchWakeFile(file.wakeFd);
    },
    hold() {
      holders += 1;
      stop ??= listen(file.wakePath, readVersion, nudge);
      return () => {
        holders -= 1;
        if (holders > 0) return;
        stop?.();
        stop = undefined;
      };
    },
  };
}

function listen(wakePath: string, readVersion: () => unknown, nudge: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  let seen: unknown;
  const poll = (): void => {
    const now = readVersion();
    if (now !== seen) nudge();
    seen = now;
  };
  const pollEvery = (ms: number): void => {
    clearInterval(timer);
    timer = setInterval(poll, ms);
  };
  const watcher = tryWatch(wakePath, nudge, () => pollEvery(FAST_POLL_MS));
  pollEvery(watcher === undefined ? FAST_POLL_MS : SLOW_POLL_MS);
  return () => {
    watcher?.close();
    clearInterval(timer);
  };
}

function tryWatch(path: string, changed: () => void, lost: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(path, (event) => (event === 'change' ? changed() : lost()));
    watcher.on('error', lost);
    return watcher;
  } catch {
    // No inotify here, or no watches left: polling does the same for more CPU.
    return undefined;
  }
}
