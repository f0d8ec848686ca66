/**
 * An rpm header as the database keeps it (https://rpm-software-management.github.io/rpm/manual/format_header.html,
 * hregions.html; tags: include/rpm/rpmtag.h): number of entries, bytes of data, entries of (tag, type, offset, count), data.
 * Big-endian. Whatever is not exactly that is no package.
 */
import { type Algorithm, HEX_DIGITS } from './evidence.ts';
import { isWord, MAX_FILES, MAX_PATH_BYTES, type PackageRecord, type RecordedFile } from './package-record.ts';

const TAG = {
  ...{ name: 1000, version: 1001, release: 1002, epoch: 1003, arch: 1022 },
  ...{ fileStates: 1029, fileModes: 1030, fileDigests: 1035, fileFlags: 1037 },
  ...{ dirIndexes: 1116, baseNames: 1117, dirNames: 1118, fileDigestAlgo: 5011 },
} as const;
const WANTED: ReadonlySet<number> = new Set(Object.values(TAG));

const TYPE = { char: 1, int16: 3, int32: 4, string: 6, strings: 8 } as const;
const ENTRY_BYTES = 16;
/** rpm's own limit (lib/header.cc, hdrchkTags). */
const MAX_ENTRIES = 65_535;

/** PGPHASHALGO (RFC 4880, 9.4). Packages without this tag have MD5. */
const ALGORITHMS: Readonly<Record<number, Algorithm>> = { 1: 'md5', 2: 'sha1', 8: 'sha256' };
const [CONFIG, GHOST] = [1 << 0, 1 << 6];
const STATE_NORMAL = 0;
const [S_IFMT, S_IFREG] = [0o170000, 0o100000];

type Entry = { readonly type: number; readonly at: number; readonly count: number };
type Header = { readonly data: Buffer; readonly entries: ReadonlyMap<number, Entry> };

/** The package of this header; undefined when it is malformed. */
export function readRpmHeader(blob: Buffer): PackageRecord | undefined {
  const header = openHeader(blob);
  if (header === undefined) return undefined;
  const [name, version, release] = [TAG.name, TAG.version, TAG.release].map((tag) => stringOf(header, tag));
  // Keys that were imported are listed as packages, without an architecture or files.
  const architecture = stringOf(header, TAG.arch) ?? 'none';
  const epoch = numbersOf(header, TAG.epoch, TYPE.int32)?.[0];
  if (name === undefined || version === undefined || release === undefined) return undefined;
  const fullVersion = `${epoch === undefined ? '' : `${epoch}:`}${version}-${release}`;
  const files = filesOf(header);
  if (files === undefined || ![name, fullVersion, architecture].every(isWord)) return undefined;
  return { name, version: fullVersion, architecture, files };
}

function openHeader(blob: Buffer): Header | undefined {
  if (blob.length < 8) return undefined;
  const [count, dataBytes] = [blob.readUInt32BE(0), blob.readUInt32BE(4)];
  const dataAt = 8 + count * ENTRY_BYTES;
  if (count > MAX_ENTRIES || dataAt + dataBytes !== blob.length) return undefined;
  const entries = new Map<number, Entry>();
  // What was added to the immutable region comes after it and goes before it.
  for (let at = 8; at < dataAt; at += ENTRY_BYTES) {
    const tag = blob.readInt32BE(at);
    if (!WANTED.has(tag)) continue;
    const entry = { type: blob.readUInt32BE(at + 4), at: blob.readUInt32BE(at + 8), count: blob.readUInt32BE(at + 12) };
    if (entry.at > dataBytes || entry.count > MAX_FILES) return undefined;
    entries.set(tag, entry);
  }
  return { data: blob.subarray(dataAt), entries };
}

/** undefined when the lists do not fit together; empty when there are none. */
function filesOf(header: Header): RecordedFile[] | undefined {
  if (!header.entries.has(TAG.baseNames)) return [];
  const names = stringsOf(header, TAG.baseNames);
  const folders = stringsOf(header, TAG.dirNames);
  const folderOf = numbersOf(header, TAG.dirIndexes, TYPE.int32);
  const modes = numbersOf(header, TAG.fileModes, TYPE.int16);
  const digests = stringsOf(header, TAG.fileDigests) ?? [];
  const flags = numbersOf(header, TAG.fileFlags, TYPE.int32) ?? [];
  const states = numbersOf(header, TAG.fileStates, TYPE.char) ?? [];
  if (!names || !folders || folderOf?.length !== names.length || modes?.length !== names.length) return undefined;
  const algorithm = ALGORITHMS[numbersOf(header, TAG.fileDigestAlgo, TYPE.int32)?.[0] ?? 1] ?? '';
  const files: RecordedFile[] = [];
  for (const [index, name] of names.entries()) {
    const folder = folders[folderOf[index]!];
    const path = `${folder}${name}`;
    if (folder === undefined || !path.startsWith('/') || path.length > MAX_PATH_BYTES) return undefined;
    const flag = flags[index] ?? 0;
    const isThere = (flag & GHOST) === 0 && (states[index] ?? STATE_NORMAL) === STATE_NORMAL;
    if (!isThere || (modes[index]! & S_IFMT) !== S_IFREG) continue;
    files.push({ path, ...recordOf(algorithm, digests[index] ?? '', flag) });
  }
  return files;
}

function recordOf(algorithm: Algorithm | '', digest: string, flags: number): Omit<RecordedFile, 'path'> {
  const isDigest = algorithm !== '' && digest.length === HEX_DIGITS[algorithm] && /^[0-9a-f]+$/.test(digest);
  if (!isDigest) return { record: 'none', algorithm: '', digest: '' };
  return { record: flags & CONFIG ? 'conffile' : 'packaged', algorithm, digest };
}

function stringOf(header: Header, tag: number): string | undefined {
  const entry = header.entries.get(tag);
  return entry?.type === TYPE.string ? readStrings(header.data, entry.at, 1)?.[0] : undefined;
}

function stringsOf(header: Header, tag: number): string[] | undefined {
  const entry = header.entries.get(tag);
  return entry?.type === TYPE.strings ? readStrings(header.data, entry.at, entry.count) : undefined;
}

function readStrings(data: Buffer, from: number, count: number): string[] | undefined {
  const strings: string[] = [];
  for (let at = from; strings.length < count; ) {
    const end = data.indexOf(0, at);
    if (end < 0 || end - at > MAX_PATH_BYTES) return undefined;
    strings.push(data.toString('latin1', at, end));
    at = end + 1;
  }
  return strings;
}

const NUMBER_BYTES: Readonly<Record<number, number>> = { [TYPE.char]: 1, [TYPE.int16]: 2, [TYPE.int32]: 4 };

function numbersOf(header: Header, tag: number, type: number): number[] | undefined {
  const entry = header.entries.get(tag);
  const bytes = NUMBER_BYTES[type]!;
  if (entry?.type !== type || entry.at + entry.count * bytes > header.data.length) return undefined;
  return Array.from({ length: entry.count }, (_, index) => header.data.readUIntBE(entry.at + index * bytes, bytes));
}
