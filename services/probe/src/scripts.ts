/**
 * Which file was the script. At the exec event it is gone: the image's file is the interpreter, and only the name as
 * given is left. fanotify delivered the script under the same process id just before (evidence by process id). Only
 * what is no program of this machine comes here, so interpreters and loaders are none of it.
 */

import { basename } from 'node:path';
import { createLru } from '@bintrail/runtime/lru.ts';
import type { Sighted } from './descriptors.ts';

export type OpenedByPid = {
  readonly remember: (sighted: Sighted) => void;
  /** The file of the script this process ran then, which is used up by that; undefined when it was never handed to us. */
  readonly script: (pid: number, filename: string, atNs: bigint) => Sighted | undefined;
};

const MAX_PIDS = 4_096;
/** A chain of interpreters is four deep at most (fs/exec.c, exec_binprm), plus failed attempts. */
const MAX_FILES = 16;
/** Process ids are used again; what lies further apart is not of one exec. */
const ONE_EXEC_NS = 1_000_000_000n;

export function createOpenedByPid(): OpenedByPid {
  const opened = createLru<number, Sighted[]>(MAX_PIDS);
  return {
    remember: (sighted) => {
      const files = opened.touch(sighted.pid) ?? [];
      opened.set(sighted.pid, [...files, sighted].slice(-MAX_FILES));
    },
    script: (pid, filename, atNs) => {
      const files = opened.touch(pid) ?? [];
      const found = findScript(files, filename, atNs);
      if (found !== undefined) opened.set(pid, files.slice(files.indexOf(found) + 1));
      return found;
    },
  };
}

/**
 * The kernel opens the script first, then the scripts that interpret it, if any. The one that bears the name given is
 * the script; a name that is a symbolic link leaves the one opened last.
 */
function findScript(files: readonly Sighted[], filename: string, atNs: bigint): Sighted | undefined {
  const near = files.filter((file) => atNs - file.atNs < ONE_EXEC_NS);
  return near.findLast(({ path }) => basename(path) === basename(filename)) ?? near.at(-1);
}
