import { closeSync, openSync } from 'node:fs';
import type { Libc } from './ffi.ts';
import { type FileState, inodeKey } from './file-identity.ts';

// include/uapi/linux/openat2.h, include/uapi/asm-generic/fcntl.h; openat2 is 437 on every architecture.
const OPENAT2 = 437;
const AT_FDCWD = -100;
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000n;
const RESOLVE_NO_MAGICLINKS = 0x02n;
const RESOLVE_IN_ROOT = 0x10n;
/** Linux 5.12: gives up where it would have to wait for a disk or a server. */
const RESOLVE_CACHED = 0x20n;

/**
 * A descriptor (O_PATH) of what an absolute path, latin1, names in this mount namespace; undefined when nothing, or when
 * the kernel does not know it by heart, as it does a program that has just run. Within `root`, a descriptor, where given:
 * neither a symbolic link nor `..` leads out of it.
 */
export function openNamed(libc: Libc, path: string, root?: number): number | undefined {
  const within = root === undefined ? 0n : RESOLVE_IN_ROOT;
  const how = BigUint64Array.of(BigInt(O_PATH) | O_CLOEXEC, 0n, RESOLVE_CACHED | RESOLVE_NO_MAGICLINKS | within);
  const name = Buffer.from(`${path}\0`, 'latin1');
  const fd = Number(libc.openat2(OPENAT2, root ?? AT_FDCWD, name, how, how.byteLength));
  return fd < 0 ? undefined : fd;
}

/** Whether a path of our own view names this very file, as far as can be told without waiting. */
export type NamesFile = (path: string, file: FileState) => boolean;

export function createNamesFile(libc: Libc, describe: (fd: number) => FileState | undefined): NamesFile {
  return (path, file) => {
    const named = openNamed(libc, path);
    if (named === undefined) return false;
    const state = describe(named);
    closeSync(named);
    return state !== undefined && inodeKey(state) === inodeKey(file);
  };
}

/** A descriptor (O_PATH) of what a path or a link of /proc leads to, without opening it; undefined when that is not possible. */
export function openPathOnly(path: string): number | undefined {
  try {
    return openSync(path, O_PATH);
  } catch {
    return undefined;
  }
}
