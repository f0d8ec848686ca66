/** Who owns a path, by one snapshot of the database: the index proposes, the database's own lines decide. */

import { questionsFor } from './dpkg-diversions.ts';
import type { Places, Snapshot } from './dpkg-load.ts';
import type { DpkgPackage } from './dpkg-status.ts';
import type { Owner, RecordKind } from './evidence.ts';
import { hashPath, MD5_PREFIX_BYTES } from './path-table.ts';
import type { RootLink } from './root-links.ts';
import { readPieceBelow } from './rooted-files.ts';

/** Packages share a file only across architectures or through merged /usr. */
const MAX_OWNERS = 16;

/** `path` is absolute, canonical and without newline. Best evidence first, at most 16. */
export function findOwners(path: string, snapshot: Snapshot, places: Places, links: readonly RootLink[]): Owner[] {
  const owners: Owner[] = [];
  for (const { name, means } of questionsFor(path, links, snapshot.diversions)) {
    const hits = snapshot.table.find(hashPath(name, snapshot.seed));
    const answered = new Set<number>();
    for (const { segment, offset } of hits) {
      const entry = snapshot.packages[segment >> 1];
      const isList = segment % 2 === 0;
      if (!isList || !entry || !means(entry.name) || answered.has(segment) || owners.length === MAX_OWNERS) continue;
      if (!listHas(places.info, snapshot.files[segment]?.name, offset, name)) continue;
      answered.add(segment);
      const sums = hits.filter((hit) => hit.segment === segment + 1).map((hit) => hit.offset);
      owners.push(toOwner(entry, name, recordOf(entry, name, snapshot, places, segment + 1, sums)));
    }
  }
  return owners.sort((a, b) => rank(a) - rank(b));
}

function rank(owner: Owner): number {
  return (owner.digest === '' ? 2 : 0) + (owner.settled ? 0 : 1);
}

type Digest = Pick<Owner, 'record' | 'algorithm' | 'digest' | 'recordedAtMs'>;

function toOwner(entry: DpkgPackage, comparedPath: string, digest: Digest): Owner {
  const { name, version, architecture, settled } = entry;
  return { manager: 'dpkg', package: name, version, architecture, comparedPath, settled, sealed: true, ...digest };
}

/** The status file's word on a conffile goes before a checksum list's: it is what dpkg itself compares with. */
function recordOf(
  entry: DpkgPackage,
  name: string,
  snapshot: Snapshot,
  places: Places,
  sums: number,
  offsets: readonly number[],
): Digest {
  const conffile = entry.conffiles.get(name);
  if (conffile) {
    const record: RecordKind = conffile.obsolete ? 'obsolete_conffile' : 'conffile';
    return { record, algorithm: 'md5', digest: conffile.md5, recordedAtMs: snapshot.stamps.status.changedAtMs };
  }
  const file = snapshot.files[sums];
  for (const offset of offsets) {
    const md5 = file && checksumAt(places.info, file.name, offset, name);
    if (md5) return { record: 'packaged', algorithm: 'md5', digest: md5, recordedAtMs: file.stamp.changedAtMs };
  }
  return { record: 'none', algorithm: '', digest: '', recordedAtMs: 0 };
}

/** Equal hashes are not equal paths: the line itself decides. */
function listHas(infoFd: number, file: string | undefined, offset: number, name: string): boolean {
  const line = file === undefined ? 'absent' : readPieceBelow(infoFd, file, offset, name.length + 1);
  return typeof line !== 'string' && isLine(line.toString('latin1'), name);
}

function checksumAt(infoFd: number, file: string, offset: number, name: string): string | undefined {
  const line = readPieceBelow(infoFd, file, offset, MD5_PREFIX_BYTES + '.'.length + name.length + 1);
  if (typeof line === 'string') return undefined;
  const [prefix, md5] = /^([0-9A-Fa-f]{32}) [ *](?:\.?\/)?/.exec(line.toString('latin1')) ?? [];
  if (prefix === undefined || md5 === undefined) return undefined;
  return isLine(line.toString('latin1', prefix.length), name.slice(1)) ? md5.toLowerCase() : undefined;
}

function isLine(text: string, line: string): boolean {
  return text.startsWith(line) && (text.length === line.length || text[line.length] === '\n');
}
