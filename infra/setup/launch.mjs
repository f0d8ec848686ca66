import { spawn } from 'node:child_process';

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];

/** One Ctrl-C reaches us twice under npm: from the terminal, and from npm, which forwards its own. */
const SAME_SIGNAL_MS = 300;

/**
 * Runs a program in a session of its own and hands it each signal we get, once. The terminal then signals us
 * alone, so the program alone decides in which order its own children end.
 * @param {{group?: boolean, onChild?: (child) => void}} how `group`: signal all the program started as well
 * @returns {Promise<{code: number|null, signal: string|null, forwarded?: string}>} how it ended, and the last signal it
 *   was sent; rejects when it cannot be started
 */
export function launch(command, args, { group = false, onChild, ...options }) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, detached: true });
    const lastAtMs = new Map();
    let forwarded;
    const forward = (signal) => {
      const nowMs = Date.now();
      const repeated = nowMs - (lastAtMs.get(signal) ?? Number.NEGATIVE_INFINITY) < SAME_SIGNAL_MS;
      lastAtMs.set(signal, nowMs);
      forwarded = signal;
      if (!repeated && child.pid !== undefined) deliver(group ? -child.pid : child.pid, signal);
    };
    for (const signal of FORWARDED) process.on(signal, forward);
    const stopForwarding = () => {
      for (const signal of FORWARDED) process.off(signal, forward);
    };
    child.once('error', (error) => {
      stopForwarding();
      reject(error);
    });
    child.once('close', (code, signal) => {
      stopForwarding();
      resolve({ code, signal, forwarded });
    });
    onChild?.(child);
  });
}

function deliver(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** Ends this process as the program ended: the same signal, else the same exit code. */
export function endLike({ code, signal }) {
  if (signal !== null) process.kill(process.pid, signal);
  else process.exitCode = code;
}
