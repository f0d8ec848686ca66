/** $BINTRAIL_HOME: where it is, whose it is, and that only one Bintrail uses it. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, chmodSync, chownSync, constants, mkdirSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SetupError } from '@bintrail/runtime/errors.ts';
import type { User } from '@bintrail/runtime/privileges.ts';

/** What the kernel says to who may not have the folder: it is another user's, or nothing can be written there. */
const REFUSED: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ENOENT']);

/** Where a folder that lies behind closed doors is mounted a second time. */
const ALIASES = '/run/bintrail';

export type Home = {
  /** The folder as the operator knows it. */
  readonly path: string;
  /** The same folder by a path that the unprivileged user can walk. */
  readonly reachablePath: string;
  /** Lets go of the folder, and takes the second mount away where there is one. */
  readonly release: () => void;
};

/**
 * Makes the folder and takes it for this process. As root everything but the probe runs as `user`, who must be able to
 * get there: a checkout below /root or a fresh temporary folder is closed to him, so the folder is then bind-mounted
 * where he can reach it. The lock comes first: the mount is the holder's, and goes with him alone.
 * @throws SetupError when that is not allowed, or another Bintrail holds the folder
 */
export function takeHome(setting: string | undefined, checkout: string, user: User | undefined): Home {
  const path = makeFolder(setting, checkout, user);
  const lock = lockHome(path);
  const closed = user && closedFolder(dirname(path), user);
  if (closed === undefined) return { path, reachablePath: path, release: lock.release };
  const alias = mountAgain(path, closed);
  const release = () => {
    // Lazily: whatever still holds a file open must not keep the rest from ending.
    unmountAll(alias);
    lock.release();
    removeEmpty(alias);
    removeEmpty(ALIASES);
  };
  return { path, reachablePath: alias, release };
}

/**
 * Finds the folder for a command beside a Bintrail that may be running, and changes nothing in it. One that is closed to
 * its owner is reached where the running one mounted it; while none runs, the folder is taken for that.
 * @throws SetupError when there is no such folder
 */
export function visitHome(setting: string | undefined, checkout: string): Home {
  const path = homePath(setting, checkout);
  if (!canEnter(path)) {
    throw new SetupError(
      `there is no data folder ${path}, or it is closed to you`,
      'set BINTRAIL_HOME to the data folder of a Bintrail; run as its owner or as root',
    );
  }
  const { uid, gid } = statSync(path);
  const owner = process.geteuid?.() === 0 && uid !== 0 ? { uid, gid } : undefined;
  const alias = aliasOf(path);
  const release = () => {};
  if (owner === undefined || closedFolder(dirname(path), owner) === undefined) {
    return { path, reachablePath: path, release };
  }
  return isSameFolder(path, alias) ? { path, reachablePath: alias, release } : takeHome(path, checkout, owner);
}

function canEnter(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return isFolder(path);
  } catch {
    return false;
  }
}

function homePath(setting: string | undefined, checkout: string): string {
  return resolve(setting ?? join(checkout, '.bintrail'));
}

function makeFolder(setting: string | undefined, checkout: string, user: User | undefined): string {
  const path = homePath(setting, checkout);
  try {
    makeFolders(path);
    if (user !== undefined) chownSync(path, user.uid, user.gid);
    // Others may name what they know of, such as the token, but list nothing. The group is the probe's too, which puts
    // files beside those that are there, and may take none of them away.
    chmodSync(path, 0o1771);
  } catch (error) {
    if (!REFUSED.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    throw new SetupError(`no data can be kept in ${path}: ${error}`, 'set BINTRAIL_HOME to a folder of your own');
  }
  return path;
}

/**
 * One by one: for a folder that the kernel answers with ENOENT although the one above exists, as in procfs, Node's
 * `recursive` tries for ever (measured on 20 and 26).
 */
function makeFolders(path: string): void {
  if (isFolder(path)) return;
  makeFolders(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    if (!isFolder(path)) throw error;
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function aliasOf(path: string): string {
  return join(ALIASES, createHash('sha256').update(path).digest('hex').slice(0, 16));
}

function isSameFolder(path: string, alias: string): boolean {
  const [here, there] = [statSync(path), statSync(alias, { throwIfNoEntry: false })];
  return here.dev === there?.dev && here.ino === there.ino;
}

function mountAgain(path: string, closed: string): string {
  const alias = aliasOf(path);
  mkdirSync(alias, { recursive: true });
  // Not by `mode`, from which the umask takes what the user needs.
  chmodSync(ALIASES, 0o711);
  // Left over from a start that was killed: the same folder, or one by this name that was removed since.
  if (!isSameFolder(path, alias)) {
    unmountAll(alias);
    const { status, stderr } = spawnSync('mount', ['--bind', path, alias], { encoding: 'utf8' });
    if (status !== 0) {
      removeEmpty(alias);
      throw new SetupError(
        `the user bintrail cannot reach ${path}, as ${closed} is closed to others, nor may it be mounted elsewhere: ${stderr}`,
        'set BINTRAIL_HOME to a folder below /var/lib, for example',
      );
    }
  }
  return alias;
}

/** Also what lies below: a mount may have been left there and hidden by the next. */
function unmountAll(alias: string): void {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  for (const mount of mounts) if (mount.split(' ')[4] === alias) spawnSync('umount', ['--lazy', alias]);
}

/** Never what is in it: a mount that is still there is the data itself. */
function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (!['EBUSY', 'ENOTEMPTY', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
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

type HomeLock = { readonly release: () => void };

// SQLITE_BUSY, https://www.sqlite.org/rescode.html
const SQLITE_BUSY = 5;

/**
 * Holds the folder for this process. SQLite's file lock ends with the process, however it ends.
 * @throws SetupError when another Bintrail holds it
 */
function lockHome(path: string): HomeLock {
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
