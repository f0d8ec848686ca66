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
  /** Reads what is queued, at most `limit` descriptors. `overflows` counts how often the kernel dropped events. */
  readonly read: (limit: number) => { files: OpenedFile[]; overflows: number; failed: number };
  readonly close: () => void;
};

// include/uapi/linux/fanotify.h, include/uapi/asm-generic/fcntl.h
const FAN_CLOEXEC = 0x1;
const FAN_NONBLOCK = 0x2;
const FAN_CLASS_NOTIF = 0x0;
// The default queue of 16,384 overflows when the probe gets too little of a busy machine; a full one would lose digests.
const FAN_UNLIMITED_QUEUE = 0x10;
const FAN_UNLIMITED_MARKS = 0x20;
const FAN_MARK_ADD = 0x1;
const FAN_MARK_FILESYSTEM = 0x100;
const FAN_OPEN_EXEC = 0x1000n;
const FAN_Q_OVERFLOW = 0x4000n;
const O_LARGEFILE = 0o100000;
const O_CLOEXEC = 0o2000000;
const O_NOATIME = 0o1000000;
const AT_FDCWD = -100;
const EAGAIN = 11;
const METADATA_BYTES = 24;
const BUFFER_EVENTS = 64;

/** Throws SetupError without CAP_SYS_ADMIN, which filesystem marks need. */
export function openFanotify(libc: Libc): Fanotify {
  const flags = FAN_CLOEXEC | FAN_NONBLOCK | FAN_CLASS_NOTIF | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS;
  const fd = Number(libc.fanotifyInit(flags, O_LARGEFILE | O_CLOEXEC | O_NOATIME));
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
    read: (limit) => readEvents(libc, fd, limit),
    close: () => closeSync(fd),
  };
}

function readEvents(libc: Libc, fd: number, limit: number): ReturnType<Fanotify['read']> {
  const files: OpenedFile[] = [];
  const buffer = new Uint8Array(METADATA_BYTES * BUFFER_EVENTS);
  const view = new DataView(buffer.buffer);
  let overflows = 0;
  let failed = 0;
  while (files.length < limit) {
    const room = Math.min(BUFFER_EVENTS, limit - files.length) * METADATA_BYTES;
    const length = Number(libc.read(fd, buffer, room));
    if (length <= 0) {
      // Anything but "nothing there" is a descriptor the kernel could not open for us (fanotify(7), errors of read).
      if (length < 0 && lastErrno() !== EAGAIN) failed += 1;
      break;
    }
    for (let at = 0; at < length; at += view.getUint32(at, true)) {
      if (view.getBigUint64(at + 8, true) & FAN_Q_OVERFLOW) overflows += 1;
      const file = { fd: view.getInt32(at + 16, true), pid: view.getInt32(at + 20, true) };
      if (file.fd >= 0) files.push(file);
    }
  }
  return { files, overflows, failed };
}
