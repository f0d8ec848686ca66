/** The root of a process's mount namespace, and whether its owner could have made up what lies there. */
import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import { flagBit } from '@bintrail/schemas/flags.ts';
import type { Libc } from '../ffi.ts';
import { isLocalMagic } from '../mounts.ts';
import { type InRoot, openPath } from './in-root.ts';
import { attempt } from './rooted-files.ts';

export type NamespaceRoot = {
  /** O_PATH. The caller closes it. */
  readonly fd: number;
  /**
   * An overlay, in a mount namespace that only root of the host could make: its lower layers are the image's. Whoever
   * has a user namespace of their own can mount an overlay over folders of their own, and call those lower.
   */
  readonly hasImage: boolean;
};

// include/uapi/linux/nsfs.h: _IO(0xb7, 0x1)
const NS_GET_USERNS = 0xb701;
const MAX_ROOT_DEPTH = 64;
const OVERLAY = flagBit('overlay');

/**
 * The root that the kernel's paths begin at, however the process has changed its own since. `gone` when the process is,
 * or has another namespace than `mountNs` (0: any) by now; `remote` when looking further could mean to wait for ever.
 */
export function openNamespaceRoot(world: InRoot, pid: number, mountNs: number): NamespaceRoot | 'gone' | 'remote' {
  const namespace = attempt(() => openSync(`/proc/${pid}/ns/mnt`, constants.O_RDONLY));
  if (typeof namespace === 'string') return 'gone';
  try {
    if (mountNs !== 0 && fstatSync(namespace).ino !== mountNs) return 'gone';
    const own = openPath(world.libc, -1, `/proc/${pid}/root`);
    if (own < 0) return 'gone';
    const state = world.describe(own);
    const isLocal = state !== undefined && isLocalMagic(state.fs_magic);
    const fd = isLocal ? openTop(world.libc, own) : undefined;
    closeSync(own);
    if (!isLocal) return 'remote';
    if (fd === undefined) return 'gone';
    const isOverlay = ((world.describe(fd)?.flags ?? 0) & OVERLAY) !== 0;
    return { fd, hasImage: isOverlay && isOwnedByHost(world.libc, namespace) };
  } finally {
    closeSync(namespace);
  }
}

/** Up to where it goes no further: the caller's own root, which would end the walk, is elsewhere. */
function openTop(libc: Libc, from: number): number | undefined {
  const top = openPath(libc, from, '../'.repeat(MAX_ROOT_DEPTH));
  if (top < 0) return undefined;
  const above = openPath(libc, top, '..');
  const isTop = above >= 0 && placeKey(top) === placeKey(above);
  if (above >= 0) closeSync(above);
  if (isTop) return top;
  closeSync(top);
  return undefined;
}

/** Mount and inode (proc_pid_fdinfo(5)). */
function placeKey(fd: number): string {
  return (
    readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1')
      .match(/^(?:mnt_id|ino):.*$/gm)
      ?.join() ?? ''
  );
}

function isOwnedByHost(libc: Libc, namespace: number): boolean {
  const owner = Number(libc.ioctl(namespace, NS_GET_USERNS, new Uint32Array(1)));
  if (owner < 0) return false;
  try {
    return fstatSync(owner).ino === statSync('/proc/self/ns/user').ino;
  } finally {
    closeSync(owner);
  }
}
