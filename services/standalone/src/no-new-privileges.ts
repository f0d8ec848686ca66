import { lastErrno, loadLibc } from '@bintrail/probe/ffi.ts';

/** include/uapi/linux/prctl.h */
const PR_SET_NO_NEW_PRIVS = 38;

/**
 * From here on nothing this thread executes, and none of its children, gains rights by a set-user-id file or by file
 * capabilities. The flag is a thread's and is inherited: children started by the main thread have it in all of theirs,
 * this process's own worker threads do not.
 */
export function forbidNewPrivileges(): void {
  if (process.platform !== 'linux') return;
  if (loadLibc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0) {
    throw new Error(`prctl(PR_SET_NO_NEW_PRIVS) failed: errno ${lastErrno()}`);
  }
}
