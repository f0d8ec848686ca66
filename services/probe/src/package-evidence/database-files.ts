/** Which package databases a root has, each with the files that make it up, opened and described but not read. */
import { closeSync } from 'node:fs';
import { identityKey } from '../file-identity.ts';
import type { Manager } from './evidence.ts';
import { type InRoot, openInRoot, type Place } from './in-root.ts';

/** Names of the files by their part in it. */
type Layout = {
  readonly manager: Manager;
  readonly main: string;
  readonly files: Readonly<Record<string, string>>;
  readonly folders: Readonly<Record<string, string>>;
};

/**
 * The main file comes first: without it there is no such database. Newer images keep rpm's and apk's below /usr, with or
 * without a link at the old place.
 */
const LAYOUTS: readonly Layout[] = [
  {
    manager: 'dpkg',
    main: 'var/lib/dpkg/status',
    files: { diversions: 'var/lib/dpkg/diversions' },
    folders: { dpkg: 'var/lib/dpkg', info: 'var/lib/dpkg/info', updates: 'var/lib/dpkg/updates' },
  },
  ...['usr/lib/sysimage/rpm', 'var/lib/rpm'].map((folder) => ({
    ...{ manager: 'rpm' as const, main: `${folder}/rpmdb.sqlite` },
    ...{ files: { log: `${folder}/rpmdb.sqlite-wal` }, folders: {} },
  })),
  ...['usr/lib/apk/db', 'lib/apk/db'].map((folder) => ({
    ...{ manager: 'apk' as const, main: `${folder}/installed`, files: {}, folders: { apk: folder } },
  })),
];

/** Formats that are known by their name and not read. */
const UNREAD = {
  'var/lib/rpm/Packages': 'an rpm database in the format of Berkeley DB',
  'usr/lib/sysimage/rpm/Packages.db': 'an rpm database in the format ndb',
  'var/lib/rpm/Packages.db': 'an rpm database in the format ndb',
} as const;

export type DatabaseFiles = {
  readonly manager: Manager;
  readonly main: Place;
  readonly others: Readonly<Record<string, Place>>;
  /** Equal for databases of the same content: containers of one image share the files of its layers. */
  readonly key: string;
  /** The newest change of any of them, Unix ms. */
  readonly changedAtMs: number;
  /** Nothing in it was added, changed or taken away since the image was made. */
  readonly isLower: boolean;
};

export type Found = {
  readonly databases: readonly DatabaseFiles[];
  /** What is there and cannot be used. */
  readonly faults: readonly string[];
};

/** The caller closes with `closeDatabases`. */
export function openDatabases(world: InRoot, rootFd: number): Found {
  const databases = new Map<string, DatabaseFiles>();
  const faults: string[] = [];
  for (const layout of LAYOUTS) {
    const main = openInRoot(world, rootFd, layout.main, 'file');
    if ('refused' in main) {
      if (main.refused !== 'absent') faults.push(`${layout.main}: ${main.refused}`);
      continue;
    }
    const found = openOthers(world, rootFd, layout, main);
    // By a link from the old place to the new one.
    if (databases.has(found.key)) closeDatabases([found]);
    else databases.set(found.key, found);
  }
  if (databases.size === 0) faults.push(...unreadFormats(world, rootFd));
  return { databases: [...databases.values()], faults };
}

function openOthers(world: InRoot, rootFd: number, { manager, files, folders }: Layout, main: Place): DatabaseFiles {
  const others: Record<string, Place> = {};
  let isLower = main.isLower;
  const add = (part: string, path: string, wanted: 'file' | 'folder') => {
    const place = openInRoot(world, rootFd, path, wanted);
    if (!('refused' in place)) others[part] = place;
    else if (place.refused !== 'absent') isLower = false;
  };
  for (const [part, path] of Object.entries(files)) add(part, path, 'file');
  for (const [part, path] of Object.entries(folders)) add(part, path, 'folder');
  const places = [main, ...Object.values(others)];
  isLower &&= places.every((place) => place.isLower || isEmptyLog(place, others));
  const key = [manager, ...places.map(({ state }) => identityKey(state))].join(' ');
  const changedAtMs = Math.max(...places.map(({ state }) => Number(state.ctime_ns / 1_000_000n)));
  return { manager, main, others, key, changedAtMs, isLower };
}

/** Asking rpm leaves one behind, which says nothing. */
function isEmptyLog(place: Place, { log }: Readonly<Record<string, Place>>): boolean {
  return place === log && place.state.size === 0n;
}

function unreadFormats(world: InRoot, rootFd: number): string[] {
  return Object.entries(UNREAD).flatMap(([path, words]) => {
    const place = openInRoot(world, rootFd, path, 'file');
    if ('refused' in place) return [];
    closeSync(place.fd);
    return `${path}: ${words}`;
  });
}

export function closeDatabases(databases: readonly DatabaseFiles[]): void {
  for (const { main, others } of databases) for (const { fd } of [main, ...Object.values(others)]) closeSync(fd);
}

/** Whether all files are still what they were when they were opened. */
export function isUnchanged(world: InRoot, { main, others }: DatabaseFiles): boolean {
  return [main, ...Object.values(others)].every(({ fd, state }) => {
    const now = world.describe(fd);
    return now !== undefined && identityKey(now) === identityKey(state);
  });
}
