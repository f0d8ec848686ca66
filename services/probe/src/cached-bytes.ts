/** Reads what is in memory already, and nothing else: a thread that must not wait for a disk may call it. */
import {
  isMapFailed,
  type Libc,
  lastErrno,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  nativePage,
  PROT_READ,
  PROT_WRITE,
  viewMemory,
} from './ffi.ts';
import { TMPFS_MAGIC } from './mounts.ts';

/** include/uapi/linux/fs.h */
const RWF_NOWAIT = 0x8;

/** Files of this size at most: 0.2 ms of SHA-256 where the processor has instructions for it. */
export const MAX_CACHED_BYTES = 256 * 1024;

/**
 * The whole content of a file; undefined when it is larger, changed its size, or does not lie in memory. The view is
 * valid until the next call. tmpfs knows no RWF_NOWAIT, and is memory anyway.
 */
export function createCachedReader(
  libc: Libc,
): (fd: number, sizeBytes: number, magic: number) => Uint8Array | undefined {
  const room = MAX_CACHED_BYTES + 4096;
  const pointer = libc.mmap(0n, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (isMapFailed(pointer)) throw new Error(`mmap of the reading buffer failed: errno ${lastErrno()}`);
  const bytes = new Uint8Array(viewMemory(pointer, room));
  const vector = nativePage(libc);
  vector.view.setBigUint64(0, pointer, true);
  return (fd, sizeBytes, magic) => {
    if (sizeBytes > MAX_CACHED_BYTES) return undefined;
    // One byte more than expected, so that a file that grew is noticed.
    vector.view.setBigUint64(8, BigInt(sizeBytes + 1), true);
    const length = Number(libc.preadv2(fd, vector.pointer, 1, 0, magic === TMPFS_MAGIC ? 0 : RWF_NOWAIT));
    return length === sizeBytes ? bytes.subarray(0, length) : undefined;
  };
}
