import { randomBytes, randomUUID } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, linkSync, openSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SetupError, Transient } from './errors.ts';
import { asUser } from './privileges.ts';

/** An open bus file: its connection, and descriptors of the two files beside it that we use ourselves. */
export type BusFile = {
  readonly db: DatabaseSync;
  readonly busId: string;
  readonly walFd: number;
  readonly wakeFd: number;
  readonly wakePath: string;
};

const SCHEMA_VERSION = 1;
const SCHEMA = `
  CREATE TABLE bus (id TEXT NOT NULL) STRICT;
  CREATE TABLE topics (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    next INTEGER NOT NULL DEFAULT 0,         -- offset of the next record; never goes back
    bytes INTEGER NOT NULL DEFAULT 0,        -- stored size of all values
    compacted INTEGER NOT NULL DEFAULT 0,
    compacted_to INTEGER NOT NULL DEFAULT 0  -- records before it have superseded their elders
  ) STRICT;
  CREATE TABLE groups (
    topic INTEGER NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,                     -- the subscription that may plan and acknowledge
    acked INTEGER NOT NULL,                  -- everything before it is done
    plan_to INTEGER,
    plan_at_ms INTEGER,
    plan_rule INTEGER,
    PRIMARY KEY (topic, name)
  ) STRICT, WITHOUT ROWID;`;

/** One writer waits this long for the other's transaction; those take milliseconds, longer means it hangs. */
const BUSY_TIMEOUT_MS = 1_000;
/** A write-ahead log that once grew larger than this is cut back to it. */
const WAL_KEEP_BYTES = 16 * 1024 * 1024;

/**
 * Opens the bus at `path` and makes it first where it does not exist. As root it does so under the identity of the
 * folder's owner: the files belong to that user, and a link planted there opens nothing the user could not open.
 *
 * `synchronous=NORMAL`: a commit is in the kernel's hands, so it outlives `kill -9`; for power loss the bus itself
 * calls fdatasync on the log (`sqlite-sync.ts`), off the event loop and without holding SQLite's write lock.
 * @throws SetupError when the folder or files cannot be used, Transient when another process keeps them locked.
 */
export function openBusFile(path: string): BusFile {
  const folder = dirname(path);
  if (!existsSync(folder)) throw new SetupError(`the folder ${folder} does not exist`, 'create it first');
  const { uid, gid } = statSync(folder);
  try {
    return asUser({ uid, gid }, () => openOrCreate(path));
  } catch (error) {
    throw setupFault(error, path) ?? busError(error);
  }
}

function openOrCreate(path: string): BusFile {
  const wakePath = `${path}-wake`;
  if (!existsSync(wakePath)) place(wakePath, (draft) => closeSync(openSync(draft, 'wx', 0o600)));
  if (!existsSync(path)) place(path, createDatabase);
  const db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    db.exec(`PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = ${WAL_KEEP_BYTES}`);
    const version = db.prepare('PRAGMA user_version').get()?.user_version;
    if (version !== SCHEMA_VERSION) {
      throw new SetupError(
        `${path} is not a bus of this version (found ${version})`,
        'use the version that wrote it, or move it away to start with an empty bus',
      );
    }
    // This first read is also what makes SQLite create the log we open next.
    const busId = String(db.prepare('SELECT id FROM bus').get()?.id);
    return { db, busId, walFd: openSync(`${path}-wal`, 'r'), wakeFd: openSync(wakePath, 'r+'), wakePath };
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Makes a file complete under a name nobody knows, then links it into place: two openers never see half of one. */
function place(path: string, create: (draft: string) => void): void {
  const draft = `${path}.${randomUUID()}`;
  create(draft);
  try {
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    unlinkSync(draft);
  }
  const folder = openSync(dirname(path), 'r');
  fsyncSync(folder);
  closeSync(folder);
}

function createDatabase(draft: string): void {
  // SQLite gives its log files the mode of this one: events may hold what other local users must not read.
  closeSync(openSync(draft, 'wx', 0o600));
  const db = new DatabaseSync(draft);
  db.exec(`PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; ${SCHEMA}`);
  db.prepare('INSERT INTO bus (id) VALUES (?)').run(randomBytes(16).toString('hex'));
  db.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  db.close();
}

const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_READONLY = 8;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;

/** SQLite's primary result code of an error, or undefined when the error is not SQLite's. */
function resultCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown } | undefined)?.errcode;
  return typeof code === 'number' ? code & 0xff : undefined;
}

/** A locked file or a full disk passes: those become Transient, everything else stays what it was. */
export function busError(error: unknown): unknown {
  const code = resultCode(error);
  if (code === SQLITE_BUSY || code === SQLITE_LOCKED) return new Transient('the bus file is locked', { cause: error });
  if (code === SQLITE_FULL) return new Transient('the disk under the bus is full', { cause: error });
  return error;
}

function setupFault(error: unknown, path: string): SetupError | undefined {
  const code = resultCode(error);
  if (code === SQLITE_NOTADB) return new SetupError(`${path} is not a bus`, 'move it away to start with an empty bus');
  const errno = (error as NodeJS.ErrnoException).code;
  const denied = code === SQLITE_CANTOPEN || code === SQLITE_READONLY || errno === 'EACCES' || errno === 'EPERM';
  if (!denied) return undefined;
  return new SetupError(
    `no access to the bus ${path}`,
    "run as the owner of its folder, or as root with CAP_SETUID and CAP_SETGID; the bus's files belong to that owner",
  );
}

/** Tells other processes that something was published: one byte, which their watch on this file notices. */
export function touchWakeFile(fd: number): void {
  writeSync(fd, '!', 0);
}
