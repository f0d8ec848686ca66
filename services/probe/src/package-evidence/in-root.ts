/**
 * Opening what a path names below a root that may be hostile (a container's): the kernel resolves it as if that root were
 * the only one, follows no magic link, and nothing is opened for reading before it is known to be a regular file of a
 * filesystem that answers from this machine. Walking may still have to wait (a FUSE server mounted on the way), so this
 * belongs into a thread that may wait.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { type Libc, lastErrno } from '../ffi.ts';
import type { FileState } from '../file-identity.ts';
import { isLocalMagic } from '../mounts.ts';
import { attempt, type Refusal } from './rooted-files.ts';

export type InRoot = {
  readonly libc: Libc;
  /** The state of an open descriptor, by BPF: it asks no server. */
  readonly describe: (fd: number) => FileState | undefined;
};

/** A place below a root (O_PATH). The caller closes it. */
export type Place = {
  readonly fd: number;
  readonly state: FileState;
  /** It lies in the lower layers of the root's own overlay, with no mount on the way: it is as the image has it. */
  readonly isLower: boolean;
};

// include/uapi/linux/openat2.h, include/uapi/asm-generic/fcntl.h
const OPENAT2 = 437;
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const RESOLVE_NO_XDEV = 0x01;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_IN_ROOT = 0x10;
const EXDEV = 18;
const [ENOENT, EAGAIN, ENOTDIR, ELOOP] = [2, 11, 20, 40];

const [OVERLAY, UPPER_LAYER] = [flagBit('overlay'), flagBit('upper_layer')];

/** What is at this path, latin1, of the wanted kind; a last link is followed when a folder is wanted. */
export function openInRoot(
  { libc, describe }: InRoot,
  rootFd: number,
  path: string,
  wanted: 'file' | 'folder',
): Place | { readonly refused: Refusal | 'remote' } {
  const flags = O_PATH | O_CLOEXEC | (wanted === 'folder' ? constants.O_DIRECTORY : constants.O_NOFOLLOW);
  let crossed = false;
  let fd = open(libc, rootFd, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
  if (fd === -EXDEV) {
    crossed = true;
    fd = open(libc, rootFd, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  }
  if (fd < 0) return { refused: refusalOf(-fd) };
  const state = describe(fd);
  const refused = state === undefined ? 'unreadable' : refuse(fd, state, wanted);
  if (state !== undefined && refused === undefined) {
    return { fd, state, isLower: !crossed && (state.flags & (OVERLAY | UPPER_LAYER)) === OVERLAY };
  }
  closeSync(fd);
  return { refused: refused ?? 'unreadable' };
}

/** fstat asks the filesystem, so its magic comes first. */
function refuse(fd: number, state: FileState, wanted: 'file' | 'folder'): Refusal | 'remote' | undefined {
  if (!isLocalMagic(state.fs_magic)) return 'remote';
  const stats = attempt(() => fstatSync(fd));
  if (typeof stats === 'string') return stats;
  if (stats.isSymbolicLink()) return 'symlink';
  return (wanted === 'file' ? stats.isFile() : stats.isDirectory()) ? undefined : 'wrong_type';
}

/** Wherever the path leads (O_PATH), also up and across mounts; `dirFd` -1 with an absolute one. Negative: the errno. */
export function openPath(libc: Libc, dirFd: number, path: string): number {
  return open(libc, dirFd, path, O_PATH | O_CLOEXEC, 0);
}

/** Negative: the errno. EAGAIN (a rename somewhere while `..` was walked) is tried again. */
function open(libc: Libc, dirFd: number, path: string, flags: number, resolve: number): number {
  const how = BigUint64Array.of(BigInt(flags), 0n, BigInt(resolve));
  const name = Buffer.from(`${path}\0`, 'latin1');
  for (let triesLeft = 8; ; triesLeft--) {
    const fd = Number(libc.openat2(OPENAT2, dirFd, name, how, how.byteLength));
    if (fd >= 0) return fd;
    const errno = lastErrno();
    if (errno !== EAGAIN || triesLeft === 0) return -errno;
  }
}

function refusalOf(errno: number): Refusal {
  if (errno === ENOENT || errno === ENOTDIR) return 'absent';
  return errno === ELOOP ? 'symlink' : 'unreadable';
}

/** A descriptor to read a place from: a regular file, as `openInRoot` found. The caller closes it. */
export function openForReading({ fd }: Place): number | Refusal {
  return attempt(() => openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK));
}

/** Up to that many bytes from there on; fewer at the end of the file. */
export function readAt(fd: number, offset: number, bytes: number): Buffer {
  const target = Buffer.allocUnsafe(bytes);
  let filled = 0;
  while (filled < bytes) {
    const count = readSync(fd, target, filled, bytes - filled, offset + filled);
    if (count === 0) break;
    filled += count;
  }
  return target.subarray(0, filled);
}
