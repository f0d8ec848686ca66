/**
 * Package evidence in roots that are not ours, for a thread that may wait: opens what a question names, keeps indexes of
 * databases and nothing open between questions.
 */
import { randomInt } from 'node:crypto';
import { closeSync } from 'node:fs';
import { Transient } from '@bintrail/runtime/errors.ts';
import { inodeKey } from '../file-identity.ts';
import { closeDatabases, type DatabaseFiles, isUnchanged, openDatabases } from './database-files.ts';
import { buildDatabaseIndex, type DatabaseIndex, ownersBy } from './database-index.ts';
import type { Owner } from './evidence.ts';
import { type InRoot, openInRoot, openPath } from './in-root.ts';
import { type NamespaceRoot, openNamespaceRoot } from './namespace-root.ts';

export type Question = {
  /** Canonical, latin1, from the root of the mount namespace on. */
  readonly path: string;
  /** As `inodeKey` has it: the path must still name this very file. */
  readonly inode: string;
  /** Processes that may still be in the namespace, or the host's own root. */
  readonly where: { readonly pids: readonly number[]; readonly mountNs: number } | 'host';
};

/**
 * `answered` without owners: no package has this path, or another file is there by now. `gone`: no process was left to
 * ask by. `unread`: there is a database that cannot be used; `why` says what stood in the way, for logs.
 */
export type Answer = {
  readonly outcome: 'answered' | 'gone' | 'unread';
  readonly owners: readonly Owner[];
  readonly why: string;
  /** The process by which the root was reached. */
  readonly pid?: number;
};

export type ContainerPackages = {
  readonly ask: (question: Question) => Promise<Answer>;
  /** Databases that are indexed, and their entries. */
  readonly size: () => { readonly databases: number; readonly paths: number };
};

/** Index entries in memory, 16 bytes each: two hundred images of usual size. */
const MAX_INDEXED_PATHS = 2 ** 21;
const MAX_INDEXES = 256;
/** A change so close before the reading may be followed by another of the same times (file-stamps.ts). */
const TICK_MARGIN_MS = 50;
const MAX_TRIES = 3;
const MAX_PATH_CHARS = 4096;

type State = { readonly world: InRoot; readonly seed: number; readonly indexes: Map<string, DatabaseIndex> };

export function openContainerPackages(world: InRoot): ContainerPackages {
  const state: State = { world, seed: randomInt(2 ** 32), indexes: new Map() };
  return {
    ask: (question) =>
      ask(state, question).catch((error: unknown) => {
        if (error instanceof Transient) return { outcome: 'unread', owners: [], why: error.message };
        throw error;
      }),
    size: () => ({ databases: state.indexes.size, paths: indexedPaths(state.indexes) }),
  };
}

const NOBODY: Answer = { outcome: 'answered', owners: [], why: '' };

async function ask(state: State, { path, inode, where }: Question): Promise<Answer> {
  if (!path.startsWith('/') || path.length > MAX_PATH_CHARS || path.includes('\n')) return NOBODY;
  const root = where === 'host' ? hostRoot(state.world) : anyRoot(state.world, where);
  if (root === 'gone') return { ...NOBODY, outcome: 'gone' };
  if (root === 'remote') return { ...NOBODY, outcome: 'unread', why: 'its root is on a remote filesystem' };
  try {
    const file = openInRoot(state.world, root.fd, path, 'file');
    if ('refused' in file) return NOBODY;
    closeSync(file.fd);
    const isSame = inodeKey(file.state) === inode;
    const answer = isSame ? await ownersIn(state, root, path, where === 'host') : NOBODY;
    return { ...answer, pid: root.pid };
  } finally {
    closeSync(root.fd);
  }
}

type Root = NamespaceRoot & { readonly pid: number };

function hostRoot({ libc }: InRoot): Root | 'gone' {
  const fd = openPath(libc, -1, '/');
  return fd < 0 ? 'gone' : { fd, hasImage: false, pid: process.pid };
}

function anyRoot(world: InRoot, { pids, mountNs }: { pids: readonly number[]; mountNs: number }) {
  for (const pid of pids) {
    const root = openNamespaceRoot(world, pid, mountNs);
    if (root === 'remote') return root;
    if (root !== 'gone') return { ...root, pid } satisfies Root;
  }
  return 'gone';
}

/** On a host the package manager is how software comes in, and root may lie in any case: its database is taken as it is. */
async function ownersIn(state: State, root: NamespaceRoot, path: string, isHost: boolean): Promise<Answer> {
  const { databases, faults } = openDatabases(state.world, root.fd);
  const owners: Owner[] = [];
  const reasons = [...faults];
  try {
    for (const files of databases) {
      const found = await askDatabase(state, files, root, path, isHost || (root.hasImage && files.isLower));
      if (typeof found === 'string') reasons.push(found);
      else owners.push(...found);
    }
  } finally {
    closeDatabases(databases);
  }
  const outcome = owners.length === 0 && reasons.length > 0 ? 'unread' : 'answered';
  return { outcome, owners, why: reasons.join('; ') };
}

async function askDatabase(
  state: State,
  files: DatabaseFiles,
  root: NamespaceRoot,
  path: string,
  sealed: boolean,
): Promise<Owner[] | string> {
  for (let triesLeft = MAX_TRIES; triesLeft > 0; triesLeft--) {
    const index = state.indexes.get(files.key) ?? (await buildDatabaseIndex(files, root.fd, state.seed));
    const owners = ownersBy(index, files, root.fd, path, sealed);
    if (!isUnchanged(state.world, files)) continue;
    if (Date.now() - files.changedAtMs > TICK_MARGIN_MS) keep(state, files.key, index);
    return owners;
  }
  return `${files.manager}: it changed while it was read`;
}

/** The last used stay. */
function keep({ indexes }: State, key: string, index: DatabaseIndex): void {
  indexes.delete(key);
  indexes.set(key, index);
  let paths = indexedPaths(indexes);
  for (const [oldest, { paths: fewer }] of indexes) {
    if (paths <= MAX_INDEXED_PATHS && indexes.size <= MAX_INDEXES) return;
    indexes.delete(oldest);
    paths -= fewer;
  }
}

function indexedPaths(indexes: ReadonlyMap<string, DatabaseIndex>): number {
  let sum = 0;
  for (const { paths } of indexes.values()) sum += paths;
  return sum;
}
