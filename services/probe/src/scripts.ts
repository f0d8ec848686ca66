/**
 * Which file was the script. At the exec event it is gone: the image's file is the interpreter, and only the name as
 * given is left. fanotify delivered the script under the same process id just before (evidence by process id).
 */
import type { Sighted } from './digest-pipeline.ts';
import { type FileState, inodeKey } from './file-identity.ts';
import { createLru } from '@bintrail/runtime/lru.ts';

export type OpenedByPid = {
  readonly remember: (sighted: Sighted) => void;
  /** The newest file this process opened for execution that bears the script's name and is not its interpreter. */
  readonly script: (pid: number, filename: string, interpreter: FileState) => Sighted | undefined;
};

const MAX_PIDS = 4_096;
/** A chain of interpreters is four deep at most (BINPRM_BUF loops, fs/exec.c), plus loader and failed attempts. */
const MAX_FILES = 16;

export function createOpenedByPid(): OpenedByPid {
  const opened = createLru<string, Sighted[]>(MAX_PIDS);
  return {
    remember: (sighted) => {
      const files = opened.touch(String(sighted.pid)) ?? [];
      opened.set(String(sighted.pid), [...files, sighted].slice(-MAX_FILES));
    },
    script: (pid, filename, interpreter) =>
      opened
        .touch(String(pid))
        ?.findLast(({ path, state }) => baseName(path) === baseName(filename) && inodeKey(state) !== inodeKey(interpreter)),
  };
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
