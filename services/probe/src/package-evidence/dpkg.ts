/**
 * dpkg's evidence about files of one root (`/`, or a container's). Reads the database's own files; executes nothing.
 * Paths are latin1 strings, one character per kernel byte.
 */

import { randomInt } from 'node:crypto';
import { closePlaces, load, openPlaces, type Places, type Snapshot, type Stamps, stampsOf } from './dpkg-load.ts';
import { findOwners } from './dpkg-owners.ts';
import type { Owner } from './evidence.ts';
import { type Stamp, sameStamp, stampOf } from './file-stamps.ts';
import { type RootLink, readRootLinks } from './root-links.ts';

export type DpkgDatabase = {
  /**
   * Who owns the canonical path (of the root's own mount namespace, absolute, no link in it), best evidence first; empty
   * when no package does, undefined when the root has no dpkg database that can be read. Ask only while the path still
   * names the bytes in question: an unlinked or replaced file is nobody's. Rejects with `Transient` when this process is
   * out of descriptors or memory.
   */
  ownersOf(path: string): Promise<readonly Owner[] | undefined>;
  /** What the last load could not use (a file's name and why), at most 64; for health pages and logs. */
  faults(): readonly string[];
  /** Packages and index entries in memory. */
  size(): { packages: number; paths: number };
};

/** PATH_MAX. A path with a newline cannot stand in a list. */
const MAX_PATH_CHARS = 4096;
/** A database that changes during three loads in a row is served as read last; the next question looks again. */
const MAX_LOADS = 3;

type State = {
  readonly rootDir: string;
  readonly seed: number;
  snapshot: Snapshot | undefined;
  /** One load serves all who wait. */
  running: Promise<void> | undefined;
  faults: readonly string[];
  links: { readonly stamp: Stamp; readonly list: readonly RootLink[] } | undefined;
};

/**
 * Opens nothing yet: the first question loads the index (in slices, other work runs between them), later ones only look
 * whether the database changed, and then read what did. `rootDir` may be `/proc/<pid>/root`. No descriptor is held
 * between questions, so the root can be unmounted.
 */
export function openDpkg(rootDir: string): DpkgDatabase {
  const seed = randomInt(2 ** 32);
  const state: State = { rootDir, seed, snapshot: undefined, running: undefined, faults: [], links: undefined };
  return {
    ownersOf: (path) => ownersOf(state, path),
    faults: () => state.faults,
    size: () => ({ packages: state.snapshot?.packages.length ?? 0, paths: state.snapshot?.table.paths ?? 0 }),
  };
}

async function ownersOf(state: State, path: string): Promise<readonly Owner[] | undefined> {
  if (!path.startsWith('/') || path.length > MAX_PATH_CHARS || path.includes('\n')) return [];
  // One that began before this question may have read what changed since: wait, then look.
  if (state.running) await state.running;
  for (let loads = 0; ; loads++) {
    const found = answer(state, path, loads);
    if (found !== 'stale') return found;
    state.running ??= reload(state).finally(() => {
      state.running = undefined;
    });
    await state.running;
    if (state.snapshot === undefined) return undefined;
  }
}

/** Right after a load an uncertain stamp is as good as it gets; before one it is not. */
function answer(state: State, path: string, loads: number): Owner[] | 'stale' | undefined {
  const places = openPlaces(state.rootDir);
  if ('refused' in places) {
    state.faults = [`${places.where}: ${places.refused}`];
    state.snapshot = undefined;
    return undefined;
  }
  try {
    const { snapshot } = state;
    const current = snapshot && sameStamps(snapshot.stamps, stampsOf(places, Date.now()), loads === 0);
    if (!snapshot || (!current && loads < MAX_LOADS)) return 'stale';
    return findOwners(path, snapshot, places, rootLinks(state, places));
  } finally {
    closePlaces(places);
  }
}

async function reload(state: State): Promise<void> {
  const places = openPlaces(state.rootDir);
  if ('refused' in places) return;
  try {
    const loaded = await load(places, state.seed, state.snapshot);
    const failed = typeof loaded === 'string';
    state.snapshot = failed ? undefined : loaded;
    state.faults = failed ? [`status: ${loaded}`] : loaded.faults;
  } finally {
    closePlaces(places);
  }
}

function rootLinks(state: State, places: Places): readonly RootLink[] {
  const stamp = stampOf(places.root, '', Date.now());
  if (!state.links || !sameStamp(state.links.stamp, stamp)) state.links = { stamp, list: readRootLinks(places.root) };
  return state.links.list;
}

function sameStamps(before: Stamps, now: Stamps, strict: boolean): boolean {
  const names = ['status', 'updates', 'info', 'diversions'] as const;
  return names.every((name) => (strict ? sameStamp(before[name], now[name]) : before[name].id === now[name].id));
}
