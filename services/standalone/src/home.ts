/** $BINTRAIL_HOME: where it is, whose it is, and that only one Bintrail uses it. */
import { chmodSync, chownSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SetupError } from '@bintrail/runtime/errors.ts';
import type { User } from '@bintrail/runtime/privileges.ts';

/** Where data goes when the folder of the checkout cannot be used by the unprivileged user. */
const SYSTEM_HOME = '/var/lib/bintrail';

export type Home = {
  readonly path: string;
  /** Why it is not the folder one would expect; '' when it is. */
  readonly note: string;
};

/**
 * Chooses and prepares the folder. As root everything but the probe runs as `user`, who must be able to get there: a
 * checkout below /root is out of reach, so without a setting the data goes to /var/lib/bintrail then.
 * @throws SetupError when a folder set by the operator cannot be used
 */
export function prepareHome(setting: string | undefined, checkout: string, user: User | undefined): Home {
  const wanted = resolve(setting ?? join(checkout, '.bintrail'));
  const obstacle = user && closedFolder(dirname(wanted), user);
  if (obstacle === undefined) return { path: makeFolder(wanted, user), note: '' };
  if (setting !== undefined) {
    throw new SetupError(
      `BINTRAIL_HOME=${wanted} is out of reach of the user bintrail: ${obstacle} is closed to others`,
      `choose another folder, such as ${SYSTEM_HOME}, or run chmod o+x ${obstacle}`,
    );
  }
  return { path: makeFolder(SYSTEM_HOME, user), note: `${obstacle} is closed to the user bintrail` };
}

/** The outermost existing folder on the way that this user may not enter. */
function closedFolder(path: string, user: User): string | undefined {
  const parent = dirname(path);
  const above = parent === path ? undefined : closedFolder(parent, user);
  if (above !== undefined) return above;
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  const bit = stat.uid === user.uid ? 0o100 : stat.gid === user.gid ? 0o010 : 0o001;
  return stat.mode & bit ? undefined : path;
}

/** 0711: others may name what they know of, such as the token's path, but see nothing. */
function makeFolder(path: string, user: User | undefined): string {
  mkdirSync(path, { recursive: true });
  if (user !== undefined) chownSync(path, user.uid, user.gid);
  chmodSync(path, 0o711);
  return path;
}

export type HomeLock = { readonly release: () => void };

// SQLITE_BUSY, https://www.sqlite.org/rescode.html
const SQLITE_BUSY = 5;

/**
 * Holds the folder for this process. SQLite's file lock ends with the process, however it ends.
 * @throws SetupError when another Bintrail holds it
 */
export function lockHome(path: string): HomeLock {
  const database = new DatabaseSync(join(path, 'lock.db'));
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw error;
    throw new SetupError(`another Bintrail is running on ${path}`, 'stop it, or set BINTRAIL_HOME to another folder');
  }
  return { release: () => database.close() };
}
