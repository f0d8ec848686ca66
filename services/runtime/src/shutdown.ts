import { constants } from 'node:os';
import type { Log } from './log.ts';

export type Shutdown = {
  /** Aborts when closing begins. */
  readonly signal: AbortSignal;
  /** Registers what was just opened: closed in reverse order, one after the other, each tried whatever the others did. */
  onClose(name: string, close: () => void | Promise<void>): void;
  /** Closes everything and ends the process; a closer that fails or takes too long makes the exit code 1. */
  close(exitCode?: number): void;
  /** Logs the error, then closes and ends with 1. */
  fail(error: unknown): void;
};

export type ShutdownOptions = {
  readonly log: Log;
  /** How long closing may take in all before the process ends regardless. */
  readonly boundMs: number;
};

/** Ctrl-C reaches every process of the terminal, and each parent passes it on: so close together they are one. */
const ECHO_MS = 500;

/**
 * Ends the process in order. The first SIGINT or SIGTERM closes everything and exits with 0, the second exits at once
 * with 128 + its number. For `main.ts` only: it installs signal handlers.
 */
export function createShutdown({ log, boundMs }: ShutdownOptions): Shutdown {
  const closers: { name: string; close: () => void | Promise<void> }[] = [];
  const closing = new AbortController();
  let running = '';
  let firstSignalAtMs = 0;

  const closeAll = async (exitCode: number): Promise<void> => {
    setTimeout(() => {
      log.error({ waitingFor: running, boundMs }, 'closing takes too long, ending now');
      process.exit(1);
    }, boundMs);
    let code = exitCode;
    for (let next = closers.pop(); next !== undefined; next = closers.pop()) {
      running = next.name;
      try {
        await next.close();
      } catch (error) {
        code = 1;
        log.error({ err: error, part: next.name }, 'could not close');
      }
    }
    process.exit(code);
  };
  const close = (exitCode = 0): void => {
    if (closing.signal.aborted) return;
    closing.abort();
    void closeAll(exitCode);
  };

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      const nowMs = performance.now();
      if (firstSignalAtMs === 0) firstSignalAtMs = nowMs;
      else if (nowMs - firstSignalAtMs > ECHO_MS) process.exit(128 + constants.signals[signal]);
      if (closing.signal.aborted) return;
      log.info({ signal }, 'closing');
      close();
    });
  }
  return {
    signal: closing.signal,
    onClose(name, closeIt) {
      closers.push({ name, close: closeIt });
    },
    close,
    fail(error) {
      log.fatal({ err: error }, 'ending after a failure');
      close(1);
    },
  };
}
