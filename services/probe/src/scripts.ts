/**
 * Which file was the script. At the exec event it is gone: the image's file is the interpreter, and only the name as
 * given is left. fanotify delivered the script under the same process id just before (evidence by process id).
 */

import { createLru } from '@bintrail/runtime/lru.ts';
import type { Sighted } from './digest-pipeline.ts';
import { type FileState, inodeKey } from './file-identity.ts';

export type OpenedByPid = {
  readonly remember: (sighted: Sighted) => void;
  /** The file of a script, given the interpreter that runs it; undefined when it was never handed to us. */
  readonly script: (pid: number, filename: string, interpreter: FileState) => Sighted | undefined;
};

const MAX_PIDS = 4_096;
/** A chain of interpreters is four deep at most (fs/exec.c, exec_binprm), plus loader and failed attempts. */
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
    script: (pid, filename, interpreter) => findScript(opened.touch(pid) ?? [], filename, interpreter),
  };
}

/**
 * The kernel opens script, interpreter and the interpreter's loader in this order. Of those before the interpreter the
 * one that bears the name given is the script; a name that is a symbolic link leaves the one just before it.
 */
function findScript(files: readonly Sighted[], filename: string, interpreter: FileState): Sighted | undefined {
  const at = files.findLastIndex(({ state }) => inodeKey(state) === inodeKey(interpreter));
  const handed = files[at];
  if (handed === undefined) return undefined;
  const before = files.slice(0, at).filter(({ atNs }) => handed.atNs - atNs < ONE_EXEC_NS);
  const named = before.findLast(({ path }) => baseName(path) === baseName(filename));
  return named ?? (isLoader(before.at(-1), files[at + 1]) ? undefined : before.at(-1));
}

/** What came after the interpreter is its loader; the same file just before it belongs to the program run before. */
function isLoader(candidate: Sighted | undefined, next: Sighted | undefined): boolean {
  return candidate !== undefined && next !== undefined && inodeKey(candidate.state) === inodeKey(next.state);
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
