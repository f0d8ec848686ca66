/**
 * The kernel hands us every file opened for execution as an open descriptor (fanotify(7), FAN_OPEN_EXEC): also after
 * the process is gone and the file unlinked, it still reads the bytes that ran.
 */
import { closeSync } from 'node:fs';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { type Libc, lastErrno } from './ffi.ts';

/** One file opened for execution. Whoever gets it owns the descriptor, and must close it soon: it blocks umount. */
export type OpenedFile = { readonly fd: number; readonly pid: number };

export type Fanotify = {
  readonly fd: number;
  /** Marks the filesystem mounted here; false when the kernel refuses (a mount that is gone or not reachable). */
  readonly mark: (mountPoint: string) => boolean;
  /** Bytes of events the kernel has queued: EVENT_BYTES for each. */
  readonly backlogBytes: () => number;
  readonly close: () => void;
};

/** What one read brought. `overflows` counts how often the kernel dropped events, `failed` files it could not open. */
export type Delivery = {
  readonly files: readonly OpenedFile[];
  readonly overflows: number;
  readonly failed: number;
  readonly isEmpty: boolean;
};

// include/uapi/linux/fanotify.h, include/uapi/asm-generic/fcntl.h
const FAN_CLOEXEC = 0x1;
const FAN_NONBLOCK = 0x2;
const FAN_CLASS_NOTIF = 0x0;
const FAN_UNLIMITED_MARKS = 0x20;
/** Linux 6.13: a file that cannot be opened for us is an event with an errno, and not a failed read. */
const FAN_REPORT_FD_ERROR = 0x2000;
const FAN_MARK_ADD = 0x1;
const FAN_MARK_REMOVE = 0x2;
const FAN_MARK_IGNORED_MASK = 0x20;
const FAN_MARK_FILESYSTEM = 0x100;
/** Linux 5.19: the mark goes with the inode when memory is wanted, and does not keep it from being unmounted. */
const FAN_MARK_EVICTABLE = 0x200;
const FAN_OPEN_EXEC = 0x1000n;
const FAN_Q_OVERFLOW = 0x4000n;
const O_LARGEFILE = 0o100000;
const O_CLOEXEC = 0o2000000;
const O_NOATIME = 0o1000000;
const AT_FDCWD = -100;
const EAGAIN = 11;
/** include/uapi/asm-generic/ioctls.h */
const FIONREAD = 0x541b;
/** struct fanotify_event_metadata, and FAN_EVENT_METADATA_LEN. */
export const EVENT_BYTES = 24;
export const MAX_EVENTS = 64;

/**
 * The queue is the kernel's default, 16,384 events (fs.fanotify.max_queued_events): the reader has a thread of its own,
 * so a longer one would only grow while that thread gets no processor, and every unread event keeps its filesystem
 * mounted. Throws SetupError without CAP_SYS_ADMIN, which filesystem marks need.
 */
export function openFanotify(libc: Libc): Fanotify {
  const flags = FAN_CLOEXEC | FAN_NONBLOCK | FAN_CLASS_NOTIF | FAN_UNLIMITED_MARKS;
  const eventFlags = O_LARGEFILE | O_CLOEXEC | O_NOATIME;
  const reporting = Number(libc.fanotifyInit(flags | FAN_REPORT_FD_ERROR, eventFlags));
  const fd = reporting >= 0 ? reporting : Number(libc.fanotifyInit(flags, eventFlags));
  if (fd < 0) {
    throw new SetupError(
      `fanotify_init failed: errno ${lastErrno()}`,
      'run as root or with CAP_SYS_ADMIN, on a kernel with CONFIG_FANOTIFY',
    );
  }
  return {
    fd,
    mark: (mountPoint) =>
      Number(libc.fanotifyMark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN_EXEC, AT_FDCWD, mountPoint)) === 0,
    backlogBytes: () => queuedBytes(libc, fd),
    close: () => closeSync(fd),
  };
}

/** Bytes of events that are queued now: EVENT_BYTES each (fanotify_ioctl in fs/notify/fanotify/fanotify_user.c). */
export function queuedBytes(libc: Libc, fd: number): number {
  const bytes = new Uint32Array(1);
  return Number(libc.ioctl(fd, FIONREAD, bytes)) < 0 ? 0 : bytes[0]!;
}

/**
 * Ignores this file until it is modified, or takes that back. Writes through a shared mapping do not lift the mark:
 * it saves work, and proves nothing. Where the kernel has no evictable marks (before 5.19) nothing happens.
 */
export function silenceFile(libc: Libc, fanotifyFd: number, fd: number, silent: boolean): void {
  const flags = (silent ? FAN_MARK_ADD | FAN_MARK_EVICTABLE : FAN_MARK_REMOVE) | FAN_MARK_IGNORED_MASK;
  libc.fanotifyMark(fanotifyFd, flags, FAN_OPEN_EXEC, fd, null);
}

/** Reads what is queued, `limit` events at most (no more than MAX_EVENTS). */
export function createQueueReader(libc: Libc, fd: number): (limit: number) => Delivery {
  const buffer = new Uint8Array(EVENT_BYTES * MAX_EVENTS);
  const view = new DataView(buffer.buffer);
  return (limit) => {
    const length = Number(libc.read(fd, buffer, Math.min(MAX_EVENTS, limit) * EVENT_BYTES));
    // Anything but "nothing there" is a file the kernel could not open for us (fanotify(7), errors of read).
    if (length < 0 && lastErrno() !== EAGAIN) return { files: [], overflows: 0, failed: 1, isEmpty: false };
    const files: OpenedFile[] = [];
    let [overflows, failed] = [0, 0];
    for (let at = 0; at < length; at += view.getUint32(at, true)) {
      const file = { fd: view.getInt32(at + 16, true), pid: view.getInt32(at + 20, true) };
      if (file.fd >= 0) files.push(file);
      else if (view.getBigUint64(at + 8, true) & FAN_Q_OVERFLOW) overflows += 1;
      else failed += 1;
    }
    return { files, overflows, failed, isEmpty: length <= 0 };
  };
}
