/** The file that an argument of a process names, looked up where that process lives. */
import { closeSync, fstatSync, readFileSync, readlinkSync } from 'node:fs';
import type { Libc } from './ffi.ts';
import type { FileState } from './file-identity.ts';
import { isRemoteMagic } from './mounts.ts';
import { openNamed, openPathOnly } from './named-file.ts';

/** `path` is absolute, latin1, in the mounts of the process. */
export type Operand = {
  readonly pid: number;
  readonly start_ns: bigint;
  readonly mnt_ns: number;
  readonly path: string;
};

/** `fd` only names the file (O_PATH), and belongs to whoever asked. */
export type NamedFile = { readonly fd: number; readonly state: FileState; readonly path: string };

/** Undefined for what is no regular file of a local filesystem, or cannot be found without waiting. */
export type Look = (operand: Operand) => NamedFile | undefined;

export type LookOptions = {
  readonly libc: Libc;
  readonly describe: (fd: number) => FileState | undefined;
  readonly hostMounts: number;
};

/** A process that is gone is looked for in the host's mounts, if it had those. */
export function createLook({ libc, describe, hostMounts }: LookOptions): Look {
  const open = ({ pid, start_ns, mnt_ns, path }: Operand): number | undefined => {
    const root = isThere(pid, start_ns) ? openPathOnly(`/proc/${pid}/root`) : undefined;
    if (root === undefined) return mnt_ns === hostMounts ? openNamed(libc, path) : undefined;
    const fd = openNamed(libc, path, root);
    closeSync(root);
    return fd;
  };
  return (operand) => {
    const fd = open(operand);
    if (fd === undefined) return undefined;
    const state = describe(fd);
    // The server of a remote file would be asked what kind it is.
    if (state !== undefined && !isRemoteMagic(state.fs_magic) && fstatSync(fd).isFile()) {
      return { fd, state, path: readlinkSync(`/proc/self/fd/${fd}`, 'latin1').replace(/ \(deleted\)$/, '') };
    }
    closeSync(fd);
    return undefined;
  };
}

/** What a path names below the root of a process, as `openNamed` does. */
export function openBelow(libc: Libc, path: string, pid: number): number | undefined {
  const root = openPathOnly(`/proc/${pid}/root`);
  if (root === undefined) return undefined;
  const fd = openNamed(libc, path, root);
  closeSync(root);
  return fd;
}

/** proc_pid_stat(5): the 22nd field, counted behind the name, in hundredths of a second. */
const START_FIELD = 19;
const TICK_NS = 10_000_000n;

function isThere(pid: number, startNs: bigint): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[START_FIELD] === `${startNs / TICK_NS}`;
  } catch {
    return false;
  }
}
