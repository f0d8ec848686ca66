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

const TYPE_AT = 16;
const MACHINE_AT = 18;
/** ET_EXEC and ET_DYN of elf(5). */
const EXECUTABLE = [2, 3];

/**
 * Whether the kernel runs this file itself. It looks at the magic, the type and the machine and at nothing else of the head
 * (fs/binfmt_elf.c, load_elf_binary). What it hands to an interpreter, also by binfmt_misc, is not.
 */
export function isNativeHead(head: Uint8Array, own: Uint8Array): boolean {
  if (head.length !== ELF_HEAD_BYTES) return false;
  const isSame = (at: number) => head[at] === own[at];
  return [0, 1, 2, 3, MACHINE_AT, MACHINE_AT + 1].every(isSame) && EXECUTABLE.includes(readU16(head, TYPE_AT));
}

function readU16(head: Uint8Array, at: number): number {
  return head[at]! | (head[at + 1]! << 8);
}
