/** Keeps fanotify marks where programs run from: on every mount that appears, and on what only a container can see. */
import { closeSync, readFileSync } from 'node:fs';
import type { Log } from '@bintrail/runtime/log.ts';
import { createLru } from '@bintrail/runtime/lru.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import type { Row } from './events-out.ts';
import type { Fanotify } from './fanotify.ts';
import type { Libc } from './ffi.ts';
import type { FileState } from './file-identity.ts';
import { isLocalMagic, mountsToMark, parseMountInfo } from './mounts.ts';
import { openNamed, openPathOnly } from './named-file.ts';
import { type OverlayMarks, testOverlayMarks } from './overlay-marks.ts';

export type Marks = {
  /** Marks what is mounted now; again is harmless. */
  readonly markMounts: () => void;
  /**
   * Marks the filesystem of a program that the kernel did not hand over: one that is mounted only in the mount namespace
   * of a container. It must still run, or its parent, who is asked for its path, so the first of them may be missed.
   */
  readonly markUnseen: (row: Row<'exec'>) => void;
  readonly status: () => { readonly marks: number; readonly private_marks: number; readonly overlays: string };
};

export type MarksOptions = {
  readonly libc: Libc;
  readonly fanotify: Pick<Fanotify, 'mark'>;
  readonly describe: (fd: number) => FileState | undefined;
  readonly log: Log;
};

const [MEMFD, OVERLAY] = [flagBit('memfd'), flagBit('overlay')];
/** The same filesystem is not looked for more often: one exec that was missed is followed by many. */
const AGAIN_MS = 1_000;
const MAX_RECENT = 1_024;

export function createMarks({ libc, fanotify, describe, log }: MarksOptions): Marks {
  let overlays: OverlayMarks | undefined;
  let marks = 0;
  let privateMarks = 0;
  const recent = createLru<string, number>(MAX_RECENT);
  const refused = new Set<string>();

  // A mount point below a server that does not answer would never be found: the kernel knows the others by heart.
  const markNamed = (mountPoint: string): boolean => {
    const fd = openNamed(libc, mountPoint);
    if (fd === undefined) return false;
    try {
      return fanotify.mark(`/proc/self/fd/${fd}`);
    } finally {
      closeSync(fd);
    }
  };
  const markMounts = () => {
    overlays ??= testOverlayMarks(libc);
    const mounts = mountsToMark(parseMountInfo(readFileSync('/proc/self/mountinfo', 'latin1')), overlays?.own ?? true);
    const done = mounts.filter(({ mountPoint }) => markNamed(mountPoint));
    marks = done.length;
    for (const { mountPoint, type } of mounts) {
      if (done.some((mount) => mount.mountPoint === mountPoint) || refused.has(mountPoint)) continue;
      refused.add(mountPoint);
      log.warn({ mountPoint, type }, 'no fanotify mark: programs run from here are hashed only while they run');
    }
  };
  const markFileSystemOf = (fd: number | undefined, { dev }: Row<'exec'>): boolean => {
    if (fd === undefined) return false;
    try {
      // A process id may be another's by now: only the filesystem the kernel spoke of.
      return describe(fd)?.dev === dev && fanotify.mark(`/proc/self/fd/${fd}`);
    } finally {
      closeSync(fd);
    }
  };
  const markUnseen = (row: Row<'exec'>) => {
    const isSeenBelow = row.flags & OVERLAY && overlays?.own === false;
    if (!isLocalMagic(row.fs_magic) || row.flags & MEMFD || isSeenBelow) return;
    const key = `${row.mnt_ns}:${row.dev}`;
    const nowMs = performance.now();
    if (nowMs - (recent.touch(key) ?? Number.NEGATIVE_INFINITY) < AGAIN_MS) return;
    recent.set(key, nowMs);
    if (markFileSystemOf(openPathOnly(`/proc/${row.pid}/exe`), row) || markFileSystemOf(openWhere(libc, row), row))
      privateMarks += 1;
  };
  const status = () => ({ marks, private_marks: privateMarks, overlays: overlays?.words ?? 'none in this kernel yet' });
  return { markMounts, markUnseen, status };
}

/** What the program's path names where its parent is. */
function openWhere(libc: Libc, { ppid, path }: Row<'exec'>): number | undefined {
  const root = openPathOnly(`/proc/${ppid}/root`);
  if (root === undefined) return undefined;
  const found = openNamed(libc, path, root);
  closeSync(root);
  return found;
}
