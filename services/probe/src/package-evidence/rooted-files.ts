/**
 * Opening files below a root that may be hostile (a container's): one component at a time through its parent's
 * descriptor, no symlink followed, nothing opened for reading before it is known to be a regular file (opening a device
 * node, say a watchdog's, has effects). An in-root resolver on openat2 can take `openBelow`'s place: same face.
 */

import { closeSync, constants, fstatSync, opendirSync, openSync, readSync, type Stats } from 'node:fs';
import { Transient } from '@bintrail/runtime/errors.ts';

/** Linux's O_PATH (asm-generic/fcntl.h; x86 and arm64 agree), which Node does not name: a place, without opening it. */
const O_PATH = 0o10000000;

export type Refusal = 'absent' | 'symlink' | 'wrong_type' | 'too_large' | 'unreadable';

export type Opened = { readonly fd: number } | { readonly refused: Refusal };

/** The root itself, whose links are the caller's own (`/proc/<pid>/root` is one). The caller closes the descriptor. */
export function openRoot(rootDir: string): Opened {
  return attemptOpen(() => openSync(rootDir, O_PATH | constants.O_DIRECTORY));
}

/** One component below `parentFd` as an O_PATH descriptor of a directory. The caller closes it. */
export function openDirectoryBelow(parentFd: number, name: string): Opened {
  return openPlace(parentFd, name, (stats) => stats.isDirectory());
}

/** One component below `parentFd`, a regular file, for reading, and what it was at that moment. The caller closes it. */
function openFileBelow(parentFd: number, name: string): OpenedFile | { readonly refused: Refusal } {
  const place = openPlace(parentFd, name, (stats) => stats.isFile());
  if ('refused' in place) return place;
  try {
    const file = attemptOpen(() => openSync(`/proc/self/fd/${place.fd}`, constants.O_RDONLY | constants.O_NONBLOCK));
    return 'refused' in file ? file : { fd: file.fd, stats: place.stats };
  } finally {
    closeSync(place.fd);
  }
}

type OpenedFile = { readonly fd: number; readonly stats: Stats };

function openPlace(parentFd: number, name: string, wanted: (stats: Stats) => boolean) {
  if (name === '' || name === '.' || name === '..' || name.includes('/')) return { refused: 'wrong_type' as const };
  const path = Buffer.from(`/proc/self/fd/${parentFd}/${name}`, 'latin1');
  const place = attemptOpen(() => openSync(path, O_PATH | constants.O_NOFOLLOW));
  if ('refused' in place) return place;
  const stats = fstatSync(place.fd);
  if (wanted(stats)) return { fd: place.fd, stats };
  closeSync(place.fd);
  return { refused: stats.isSymbolicLink() ? ('symlink' as const) : ('wrong_type' as const) };
}

function attemptOpen(open: () => number): Opened {
  const opened = attempt(open);
  return typeof opened === 'number' ? { fd: opened } : { refused: opened };
}

/**
 * Turns what the file system answers into a value. Throws `Transient` when it is this process that lacks descriptors or
 * memory: that says nothing about the file.
 */
export function attempt<T>(operation: () => T): T | Refusal {
  try {
    return operation();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    if (SHORTAGES.has(code)) throw new Transient('no descriptors or memory left to read files with', { cause: error });
    return code === 'ENOENT' || code === 'ENOTDIR' ? 'absent' : 'unreadable';
  }
}

const SHORTAGES: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);

/** Fills `target` from `offset` on; returns what was read, shorter only at the end of the file. */
function readAt(fd: number, target: Buffer, offset: number): Buffer {
  let filled = 0;
  while (filled < target.length) {
    const count = readSync(fd, target, filled, target.length - filled, offset + filled);
    if (count === 0) break;
    filled += count;
  }
  return target.subarray(0, filled);
}

/** One file below a directory, of at most `maxBytes`, and its state before it was read. What grows meanwhile is cut. */
export function readFileBelow(
  parentFd: number,
  name: string,
  maxBytes: number,
): { readonly content: Buffer; readonly stats: Stats } | { readonly refused: Refusal } {
  const file = openFileBelow(parentFd, name);
  if ('refused' in file) return file;
  const { fd, stats } = file;
  const content = reading(fd, () =>
    stats.size > maxBytes ? 'too_large' : readAt(fd, Buffer.allocUnsafeSlow(stats.size), 0),
  );
  return typeof content === 'string' ? { refused: content } : { content, stats };
}

/** The content alone. */
export function readBelow(parentFd: number, name: string, maxBytes: number): Buffer | Refusal {
  const file = readFileBelow(parentFd, name, maxBytes);
  return 'refused' in file ? file.refused : file.content;
}

/** A piece of one file below a directory, shorter than asked for at its end. */
export function readPieceBelow(parentFd: number, name: string, offset: number, bytes: number): Buffer | Refusal {
  const file = openFileBelow(parentFd, name);
  return 'refused' in file ? file.refused : reading(file.fd, () => readAt(file.fd, Buffer.alloc(bytes), offset));
}

/** A failing disk or a network file that went stale refuses too. Closes the descriptor. */
function reading(fd: number, read: () => Buffer | Refusal): Buffer | Refusal {
  try {
    return attempt(read);
  } finally {
    closeSync(fd);
  }
}

/** Names in a folder, latin1; no more than `max`, in no order. None when it cannot be read. */
export function namesIn(folderFd: number, max: number): string[] {
  const names: string[] = [];
  const folder = attempt(() => opendirSync(`/proc/self/fd/${folderFd}/`, { encoding: 'latin1' }));
  if (typeof folder === 'string') return names;
  try {
    for (let entry = folder.readSync(); entry !== null && names.length < max; entry = folder.readSync()) {
      names.push(entry.name);
    }
  } finally {
    folder.closeSync();
  }
  return names;
}
