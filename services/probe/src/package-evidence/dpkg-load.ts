/** Reading dpkg's database into a snapshot, and again only what changed since the last one. */

import { closeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { type Diversions, readDiversions } from './dpkg-diversions.ts';
import { type DpkgPackage, readStanzas } from './dpkg-status.ts';
import { ABSENT, type Stamp, sameStamp, stampFrom, stampOf } from './file-stamps.ts';
import {
  buildTable,
  EMPTY_SEGMENT,
  type HashSeed,
  indexList,
  indexMd5sums,
  type PathTable,
  type Segment,
} from './path-table.ts';
import {
  namesIn,
  type Opened,
  openDirectoryBelow,
  openRoot,
  type Refusal,
  readBelow,
  readFileBelow,
} from './rooted-files.ts';

/** A status file has some 900 bytes a package: 7 MB for 8,000 of them. It is parsed in one go, 10 ms a MB. */
const MAX_STATUS_BYTES = 16 * 2 ** 20;
/** The largest list seen has 4 MB, its checksums 5 MB (50 thousand files). One file is read and hashed in one go. */
const MAX_INFO_BYTES = 16 * 2 ** 20;
const MAX_DIVERSIONS_BYTES = 4 * 2 ** 20;
/** dpkg empties its journal after 250 entries (MAXUPDATES). */
const MAX_UPDATES = 1000;
const MAX_UPDATE_BYTES = 2 ** 20;
/** Two files each must stay below 2^16; Debian has some 65 thousand packages, no host a third of them. */
const MAX_PACKAGES = 32_000;
/** Lists and checksums together; 16 bytes each, so 32 MiB. A desktop has 200 to 800 thousand. */
const MAX_PATHS = 2 ** 21;
/** All lists and checksums read anew in one load: some 100 MB on a large desktop. */
const MAX_LOAD_BYTES = 512 * 2 ** 20;
const MAX_FAULTS = 64;
/** Between two breaths of the event loop: some 10 ms of reading and hashing, or of looking at unchanged files. */
const BREATH_BYTES = 2 ** 20;
/** What opening a file costs, as bytes read. */
const LOOK_BYTES = 4096;

/** Descriptors of the folders that matter; held during one load or one lookup only, they keep a mount busy. */
export type Places = { readonly root: number; readonly dpkg: number; readonly info: number };

export type Stamps = Readonly<Record<'status' | 'updates' | 'info' | 'diversions', Stamp>>;

/** One file of `info/`; where it cannot be used, `fault` says why and the segment is empty. */
export type InfoFile = {
  readonly name: string;
  readonly stamp: Stamp;
  readonly sizeBytes: number;
  readonly fault: Refusal | '';
  readonly segment: Segment;
};

export type Snapshot = {
  readonly stamps: Stamps;
  readonly seed: HashSeed;
  readonly packages: readonly DpkgPackage[];
  /** The list of package k at 2k, its checksums at 2k + 1, as the table's segments. */
  readonly files: readonly InfoFile[];
  readonly table: PathTable;
  readonly diversions: Diversions;
  /** What could not be used: a file's name and why. At most 64. */
  readonly faults: readonly string[];
};

/** The caller closes with `closePlaces`. A link anywhere on the way refuses: it needs an in-root resolver. */
export function openPlaces(rootDir: string): Places | { readonly refused: Refusal; readonly where: string } {
  const opened: number[] = [];
  let last: Opened = openRoot(rootDir);
  let where = '/';
  for (const name of ['var', 'lib', 'dpkg', 'info']) {
    if ('refused' in last) break;
    opened.push(last.fd);
    where += where === '/' ? name : `/${name}`;
    last = openDirectoryBelow(last.fd, name);
  }
  if ('refused' in last) {
    for (const fd of opened) closeSync(fd);
    return { refused: last.refused, where };
  }
  const [root, varDir, lib, dpkg] = opened as [number, number, number, number];
  closeSync(varDir);
  closeSync(lib);
  return { root, dpkg, info: last.fd };
}

export function closePlaces(places: Places): void {
  for (const fd of [places.info, places.dpkg, places.root]) closeSync(fd);
}

export function stampsOf(places: Places, nowMs: number): Stamps {
  return {
    status: stampOf(places.dpkg, 'status', nowMs),
    updates: stampOf(places.dpkg, 'updates', nowMs),
    info: stampOf(places.info, '', nowMs),
    diversions: stampOf(places.dpkg, 'diversions', nowMs),
  };
}

/**
 * `before` lends the index of every file that did not change. The stamps are taken first, so a change during the load
 * shows as a difference afterwards. A refusal when the status file cannot be used.
 */
export async function load(places: Places, seed: HashSeed, before: Snapshot | undefined): Promise<Snapshot | Refusal> {
  const nowMs = Date.now();
  const stamps = stampsOf(places, nowMs);
  const faults: string[] = [];
  const packages = readPackages(places, faults);
  if (!Array.isArray(packages)) return packages;
  const files = await indexFiles(places, packages, seed, before, faults);
  const text = readBelow(places.dpkg, 'diversions', MAX_DIVERSIONS_BYTES);
  if (typeof text === 'string' && text !== 'absent') faults.push(`diversions: ${text}`);
  return {
    stamps,
    seed,
    packages,
    files,
    table: buildTable(files.map((file) => file.segment)),
    diversions: readDiversions(typeof text === 'string' ? '' : text.toString('latin1')),
    faults: faults.slice(0, MAX_FAULTS),
  };
}

function readPackages(places: Places, faults: string[]): DpkgPackage[] | Refusal {
  const status = readBelow(places.dpkg, 'status', MAX_STATUS_BYTES);
  if (typeof status === 'string') return status;
  const known = new Map<string, DpkgPackage>();
  let unusable = readStanzas(status.toString('latin1'), known);
  const updates = openDirectoryBelow(places.dpkg, 'updates');
  if ('fd' in updates) {
    try {
      unusable += readJournal(updates.fd, known, faults);
    } finally {
      closeSync(updates.fd);
    }
  }
  if (unusable > 0) faults.push(`status: ${unusable} unusable stanzas`);
  const present = [...known.values()].filter((entry) => entry.present);
  if (present.length > MAX_PACKAGES) faults.push(`status: ${present.length} packages`);
  return present.slice(0, MAX_PACKAGES);
}

function readJournal(updatesFd: number, known: Map<string, DpkgPackage>, faults: string[]): number {
  let unusable = 0;
  for (const name of journalNames(updatesFd)) {
    const entry = readBelow(updatesFd, name, MAX_UPDATE_BYTES);
    if (typeof entry !== 'string') unusable += readStanzas(entry.toString('latin1'), known);
    // Gone since the listing: dpkg has written it into the status file, whose stamp now differs.
    else if (entry !== 'absent') faults.push(`updates/${name}: ${entry}`);
  }
  return unusable;
}

/** Entries are numbered in the order they were written; others are still being written. */
function journalNames(updatesFd: number): string[] {
  const names = namesIn(updatesFd, MAX_UPDATES);
  const written = names.filter((name) => /^\d{1,9}$/.test(name));
  return written.sort((a, b) => Number(a) - Number(b));
}

const SUFFIXES = ['list', 'md5sums'] as const;
type Suffix = (typeof SUFFIXES)[number];

async function indexFiles(
  places: Places,
  packages: readonly DpkgPackage[],
  seed: HashSeed,
  before: Snapshot | undefined,
  faults: string[],
): Promise<InfoFile[]> {
  const known = new Map(before?.files.map((file) => [file.name, file]));
  const files: InfoFile[] = [];
  let pathsLeft = MAX_PATHS;
  let bytesLeft = MAX_LOAD_BYTES;
  let breathLeft = BREATH_BYTES;
  for (const entry of packages) {
    for (const suffix of SUFFIXES) {
      const file = bytesLeft > 0 ? findInfo(places.info, entry, suffix, known, seed) : LEFT_OUT;
      // A package without checksums is not rare; one without a list is broken.
      const { name, fault } = file;
      if (fault !== '' && !(fault === 'absent' && suffix === 'md5sums')) faults.push(`info/${name}: ${fault}`);
      const fits = file.segment.hashes.length <= pathsLeft;
      if (!fits) faults.push(`info/${name}: too many paths`);
      files.push(fits ? file : { ...file, segment: EMPTY_SEGMENT, stamp: ABSENT });
      if (fits) pathsLeft -= file.segment.hashes.length;
      const readBytes = file === known.get(name) ? 0 : file.sizeBytes;
      bytesLeft -= readBytes;
      breathLeft -= LOOK_BYTES + readBytes;
      if (breathLeft > 0) continue;
      await setImmediate();
      breathLeft = BREATH_BYTES;
    }
  }
  return files;
}

const LEFT_OUT: InfoFile = { name: '…', stamp: ABSENT, sizeBytes: 0, fault: 'too_large', segment: EMPTY_SEGMENT };

/** `libc6:amd64.list`, or plainly `libc6.list` in databases from before multi-arch. As it was, where nothing changed. */
function findInfo(
  infoFd: number,
  entry: DpkgPackage,
  suffix: Suffix,
  known: ReadonlyMap<string, InfoFile>,
  seed: HashSeed,
): InfoFile {
  const plain = `${entry.name}.${suffix}`;
  for (const name of entry.perArchitecture ? [`${entry.name}:${entry.architecture}.${suffix}`, plain] : [plain]) {
    const old = known.get(name);
    if (old && sameStamp(old.stamp, stampOf(infoFd, name, Date.now()))) return old;
    const file = indexFile(infoFd, name, suffix, seed);
    if (file.fault !== 'absent') return file;
  }
  return { name: plain, stamp: ABSENT, sizeBytes: 0, fault: 'absent', segment: EMPTY_SEGMENT };
}

/** A file that is refused has no stamp to know it by, so it is tried again with each load. */
function indexFile(infoFd: number, name: string, suffix: Suffix, seed: HashSeed): InfoFile {
  const nowMs = Date.now();
  const file = readFileBelow(infoFd, name, MAX_INFO_BYTES);
  if ('refused' in file) return { name, stamp: ABSENT, sizeBytes: 0, fault: file.refused, segment: EMPTY_SEGMENT };
  const { content, stats } = file;
  const segment = suffix === 'list' ? indexList(content, seed) : indexMd5sums(content, seed);
  return { name, stamp: stampFrom(stats, nowMs), sizeBytes: content.length, fault: '', segment };
}
