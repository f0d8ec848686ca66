/** A database that was opened, as something that answers who owns a path. */
import { closeSync } from 'node:fs';
import { openApk } from './apk.ts';
import type { DatabaseFiles } from './database-files.ts';
import { load, type Snapshot } from './dpkg-load.ts';
import { findOwners as findDpkgOwners } from './dpkg-owners.ts';
import type { Owner } from './evidence.ts';
import { openForReading, type Place, readAt } from './in-root.ts';
import type { PackageSource } from './package-record.ts';
import { buildIndex, findOwners, type RecordIndex } from './record-index.ts';
import { readRootLinks, spellings } from './root-links.ts';
import { openRpm } from './rpm.ts';
import { MalformedDatabase } from './sqlite-file.ts';

/** Holds for every database of the same key. No descriptor is kept in it. */
export type DatabaseIndex =
  | { readonly kind: 'dpkg'; readonly paths: number; readonly snapshot: Snapshot }
  | { readonly kind: 'records'; readonly paths: number; readonly index: RecordIndex }
  | { readonly kind: 'unusable'; readonly paths: 0; readonly why: string };

/** 100 bytes a file: 300 thousand of them. */
const MAX_APK_BYTES = 32 * 2 ** 20;
/** rpm empties it after 1,000 pages. */
const MAX_LOG_BYTES = 64 * 2 ** 20;
/** Of one database, read in one go: those of large installations have 300. */
const MAX_READ_BYTES = 512 * 2 ** 20;
const MAX_BUILD_MS = 4_000;

/** Reads the whole database. What stands in the way is an answer. */
export async function buildDatabaseIndex(files: DatabaseFiles, rootFd: number, seed: number): Promise<DatabaseIndex> {
  if (files.manager === 'dpkg') {
    const { dpkg, info } = files.others;
    if (dpkg === undefined || info === undefined) return unusable('var/lib/dpkg/info: absent');
    const snapshot = await load({ root: rootFd, dpkg: dpkg.fd, info: info.fd }, seed, undefined);
    if (typeof snapshot === 'string') return unusable(`var/lib/dpkg/status: ${snapshot}`);
    return { kind: 'dpkg', paths: snapshot.table.paths, snapshot };
  }
  const overdueMs = performance.now() + MAX_BUILD_MS;
  const index = withSource(files, (source) => buildIndex(source, seed, () => performance.now() > overdueMs));
  return typeof index === 'string' ? unusable(index) : { kind: 'records', paths: index.table.paths, index };
}

function unusable(why: string): DatabaseIndex {
  return { kind: 'unusable', paths: 0, why };
}

/**
 * Owners of a canonical path of this root, or why that cannot be said. `files` are of the key the index was built for;
 * `sealed` as in Owner.
 */
export function ownersBy(
  index: DatabaseIndex,
  files: DatabaseFiles,
  rootFd: number,
  path: string,
  sealed: boolean,
): Owner[] | string {
  if (index.kind === 'unusable') return index.why;
  const links = readRootLinks(rootFd);
  if (index.kind === 'dpkg') {
    const { dpkg, info } = files.others;
    if (dpkg === undefined || info === undefined) return 'var/lib/dpkg/info: absent';
    const places = { root: rootFd, dpkg: dpkg.fd, info: info.fd };
    return findDpkgOwners(path, index.snapshot, places, links).map((owner) => ({ ...owner, sealed }));
  }
  const asked = { names: spellings(path, links), recordedAtMs: files.changedAtMs, sealed };
  const owners = withSource(files, (source) => findOwners(index.index, source, asked));
  if (owners.length === 0 && index.index.isCut) return `${files.manager}: too many packages or paths`;
  return owners;
}

/** Opens the database, lets `use` ask it, and closes it. What is malformed or cannot be read is said in words. */
function withSource<T>(files: DatabaseFiles, use: (source: PackageSource) => T): T | string {
  const fds: number[] = [];
  const open = (place: Place) => {
    const fd = openForReading(place);
    if (typeof fd === 'number') fds.push(fd);
    return fd;
  };
  try {
    const main = open(files.main);
    if (typeof main === 'string') return `${files.manager}: ${main}`;
    return use(files.manager === 'apk' ? apkSource(files, main) : rpmSource(files, main, open));
  } catch (error) {
    if (error instanceof MalformedDatabase) return `${files.manager}: malformed (${error.message})`;
    if (typeof (error as NodeJS.ErrnoException).errno === 'number') return `${files.manager}: unreadable`;
    throw error;
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

function apkSource({ main }: DatabaseFiles, fd: number): PackageSource {
  if (main.state.size > BigInt(MAX_APK_BYTES)) throw new MalformedDatabase('too large');
  return openApk(readAt(fd, 0, Number(main.state.size)));
}

function rpmSource(
  { others: { log } }: DatabaseFiles,
  fd: number,
  open: (place: Place) => number | string,
): PackageSource {
  let bytesLeft = MAX_READ_BYTES;
  const read = (offset: number, bytes: number) => {
    bytesLeft -= bytes;
    if (bytesLeft < 0) throw new MalformedDatabase('too large');
    return readAt(fd, offset, bytes);
  };
  if (log === undefined || log.state.size === 0n) return openRpm(read, Buffer.alloc(0));
  const logFd = open(log);
  if (typeof logFd === 'string' || log.state.size > BigInt(MAX_LOG_BYTES)) throw new MalformedDatabase('its log');
  return openRpm(read, readAt(logFd, 0, Number(log.state.size)));
}
