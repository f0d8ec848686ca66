/** Telling whether a file or folder changed since it was read, by its identity and times. */

import { lstatSync, type Stats } from 'node:fs';
import { attempt } from './rooted-files.ts';

/**
 * A change this close before the look may be followed by another that leaves the same times: kernels count file times in
 * ticks of up to 10 ms. Such a stamp equals none, not even itself, and the file is read once more next time.
 */
const TICK_MARGIN_MS = 50;

/** Compare with `sameStamp`. Being absent is a state like any other. `changedAtMs` is the ctime, Unix ms. */
export type Stamp = { readonly id: string; readonly changedAtMs: number; readonly certain: boolean };

/** `name` is one component below the directory `parentFd`, or empty for the directory itself. A link is stamped itself. */
export function stampOf(parentFd: number, name: string, nowMs: number): Stamp {
  const path = Buffer.from(`/proc/self/fd/${parentFd}/${name}`, 'latin1');
  const stats = attempt(() => lstatSync(path, { throwIfNoEntry: false }));
  return stats === undefined || typeof stats === 'string' ? ABSENT : stampFrom(stats, nowMs);
}

/** Times as floats of 1/4 µs: coarser than the kernel's, far finer than the margin that makes a stamp certain. */
export function stampFrom(stats: Stats, nowMs: number): Stamp {
  const id = `${stats.dev}:${stats.ino}:${stats.mtimeMs}:${stats.ctimeMs}:${stats.size}`;
  return { id, changedAtMs: stats.ctimeMs, certain: nowMs - stats.ctimeMs > TICK_MARGIN_MS };
}

export const ABSENT: Stamp = { id: 'absent', changedAtMs: 0, certain: true };

export function sameStamp(before: Stamp | undefined, now: Stamp): boolean {
  return before?.certain === true && before.id === now.id;
}
