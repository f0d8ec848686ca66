/** Tells programs that the kernel runs itself from what it hands to an interpreter, by the head of the file. */
import { closeSync, constants, openSync, readSync } from 'node:fs';

const ELF_HEAD_BYTES = 20;

/** The first bytes of a file; empty when it cannot be read. execve has just read the same page. */
export function readHead(fd: number): Uint8Array {
  const head = new Uint8Array(ELF_HEAD_BYTES);
  try {
    return head.subarray(0, readSync(fd, head, 0, ELF_HEAD_BYTES, 0));
  } catch {
    return head.subarray(0, 0);
  }
}

/** Of this very process. */
export function readOwnHead(): Uint8Array {
  const fd = openSync('/proc/self/exe', constants.O_RDONLY);
  try {
    return readHead(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Whether the kernel runs this file itself: magic, class, byte order and machine are those of this very process
 * (elf(5)). What it hands to an interpreter, also by binfmt_misc, is not.
 */
export function isNativeHead(head: Uint8Array, own: Uint8Array): boolean {
  return head.length === ELF_HEAD_BYTES && own.every((byte, at) => (at >= 6 && at < 18) || byte === head[at]);
}
