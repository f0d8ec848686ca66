/** What malloc and V8 keep for later goes back to the kernel: a probe is idle for most of the time, on every machine of a fleet. */
import type { Libc } from './ffi.ts';

// malloc.h
const M_TRIM_THRESHOLD = -1;
const M_MMAP_THRESHOLD = -3;
const LARGE_BYTES = 1024 * 1024;

/**
 * Large blocks get pages of their own, and only those that are written to. Left to itself malloc takes the largest block that
 * was ever freed for usual (mallopt(3)): the kernel's types, 18 MB while a BPF object is loaded, and then tables that wait
 * for a storm are cleared by hand, in memory that is never given back.
 */
export function mapLargeBlocks({ mallopt }: Libc): void {
  mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
  mallopt(M_TRIM_THRESHOLD, LARGE_BYTES);
}

/** To be called by each thread once it has started: it leaves behind more than it needs from then on. Takes some 50 ms. */
export function giveBackMemory({ mallocTrim }: Libc): void {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  mallocTrim(0);
}
