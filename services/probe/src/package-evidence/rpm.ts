/**
 * rpm's database where it is an SQLite file (rpm 4.16 and newer: Fedora 33, RHEL 9, and the images made of them): a table
 * of numbered headers. Berkeley DB and ndb, which came before it, are not read.
 */
import type { PackageRecord, PackageSource } from './package-record.ts';
import { readRpmHeader } from './rpm-header.ts';
import {
  HEADER_BYTES,
  MalformedDatabase,
  openSqliteFile,
  pageBytesOf,
  rootPageOf,
  rowAt,
  type SqliteValue,
  tableRows,
} from './sqlite-file.ts';
import { committedPages } from './sqlite-wal.ts';

/** Reads that much from there on, less at the end of the file. */
export type ReadAt = (offset: number, bytes: number) => Buffer;

/** `log` is the whole write-ahead log, empty where there is none. Throws MalformedDatabase. */
export function openRpm(readAt: ReadAt, log: Buffer): PackageSource {
  const header = readAt(0, HEADER_BYTES);
  const pageBytes = pageBytesOf(header);
  const logged = committedPages(log, pageBytes);
  const readPage = (page: number) => {
    const inLog = logged.get(page);
    if (inLog !== undefined) return log.subarray(inLog, inLog + pageBytes);
    const bytes = readAt((page - 1) * pageBytes, pageBytes);
    return bytes.length === pageBytes ? bytes : undefined;
  };
  // The header lies on the first page, which may have a newer state in the log.
  const file = openSqliteFile(readPage(1) ?? header, readPage);
  const root = rootPageOf(file, 'Packages');
  if (root === undefined) throw new MalformedDatabase('no table Packages');
  return {
    manager: 'rpm',
    *packages() {
      for (const { at, columns } of tableRows(file, root)) yield { at, found: packageOf(columns) };
    },
    packageAt: (at) => packageOf(rowAt(file, at)),
  };
}

/** (hnum, blob) */
function packageOf([, blob]: readonly SqliteValue[]): PackageRecord | undefined {
  return Buffer.isBuffer(blob) ? readRpmHeader(blob) : undefined;
}
