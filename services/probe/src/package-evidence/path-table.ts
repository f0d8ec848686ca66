/**
 * A small index over the lines of many files: 16 bytes a path. It holds 32-bit hashes and byte offsets, no text; who
 * looks a path up reads the line at the offset to be sure.
 */

/** The indexed lines of one file, in file order. */
export type Segment = { readonly hashes: Uint32Array; readonly offsets: Uint32Array };

/** `segment` counts in the order the segments were handed in. */
export type Hit = { readonly segment: number; readonly offset: number };

export type PathTable = { readonly paths: number; find(hash: number): Hit[] };

/** Random per process, so that nobody can prepare paths that share a hash. */
export type HashSeed = number;

/** A path of one owner has one hit, two with its digest. A database with more entries than this for one path is forged. */
const MAX_HITS = 64;
/** 2^20 buckets are 4 MiB, and two entries a bucket at the largest number of paths the caller admits. */
const MAX_BUCKET_BITS = 20;

export const EMPTY_SEGMENT: Segment = { hashes: new Uint32Array(0), offsets: new Uint32Array(0) };

const NEWLINE = 0x0a;
const SLASH = 0x2f;
const DOT = 0x2e;

/** FNV-1a over the bytes, then murmur3's last step, because buckets go by the top bits. `path` is a latin1 string. */
export function hashPath(path: string, seed: HashSeed): number {
  let hash = seed;
  for (let i = 0; i < path.length; i++) hash = Math.imul(hash ^ path.charCodeAt(i), 0x0100_0193);
  return scatter(hash);
}

function hashBytes(bytes: Buffer, start: number, end: number, seed: number): number {
  let hash = seed;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x0100_0193);
  return scatter(hash);
}

function scatter(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** `info/*.list`: one absolute path a line. Folders, told by the next line lying below them, are left out. */
export function indexList(content: Buffer, seed: HashSeed): Segment {
  const hashes: number[] = [];
  const offsets: number[] = [];
  for (let start = 0; start < content.length; ) {
    const end = lineEnd(content, start);
    if (content[start] === SLASH && !isFolderOf(content, start, end)) {
      hashes.push(hashBytes(content, start, end, seed));
      offsets.push(start);
    }
    start = end + 1;
  }
  return { hashes: new Uint32Array(hashes), offsets: new Uint32Array(offsets) };
}

function isFolderOf(content: Buffer, start: number, end: number): boolean {
  const next = end + 1;
  const length = end - start;
  if (content[next + length] !== SLASH) return false;
  return content.compare(content, start, end, next, next + length) === 0;
}

/** `info/*.md5sums`: 32 hex digits, two characters, a path from the root on, with or without a leading `/` or `./`. */
export function indexMd5sums(content: Buffer, seed: HashSeed): Segment {
  const hashes: number[] = [];
  const offsets: number[] = [];
  const fromRoot = Math.imul(seed ^ SLASH, 0x0100_0193);
  for (let start = 0; start < content.length; ) {
    const end = lineEnd(content, start);
    let path = start + MD5_PREFIX_BYTES;
    if (content[path] === DOT && content[path + 1] === SLASH) path += 2;
    else if (content[path] === SLASH) path += 1;
    if (path < end) {
      hashes.push(hashBytes(content, path, end, fromRoot));
      offsets.push(start);
    }
    start = end + 1;
  }
  return { hashes: new Uint32Array(hashes), offsets: new Uint32Array(offsets) };
}

/** The digest and the two characters after it. */
export const MD5_PREFIX_BYTES = 34;

function lineEnd(content: Buffer, start: number): number {
  const newline = content.indexOf(NEWLINE, start);
  return newline < 0 ? content.length : newline;
}

/** Counting sort by the hashes' top bits: a few ms for 200 thousand paths, so it is made anew at each change. */
export function buildTable(segments: readonly Segment[]): PathTable {
  const paths = segments.reduce((sum, segment) => sum + segment.hashes.length, 0);
  const bits = Math.min(Math.max(Math.ceil(Math.log2(paths + 1)), 4), MAX_BUCKET_BITS);
  const shift = 32 - bits;
  const bounds = new Uint32Array(2 ** bits + 1);
  for (const { hashes } of segments) for (const hash of hashes) bounds[(hash >>> shift) + 1]!++;
  for (let bucket = 1; bucket < bounds.length; bucket++) bounds[bucket]! += bounds[bucket - 1] as number;
  const segmentOf = new Uint16Array(paths);
  const lineOf = new Uint32Array(paths);
  const free = bounds.slice();
  for (const [segment, { hashes }] of segments.entries()) {
    for (let line = 0; line < hashes.length; line++) {
      const slot = free[(hashes[line] as number) >>> shift]!++;
      segmentOf[slot] = segment;
      lineOf[slot] = line;
    }
  }
  const find = (hash: number): Hit[] => {
    const hits: Hit[] = [];
    const end = bounds[(hash >>> shift) + 1] as number;
    for (let slot = bounds[hash >>> shift] as number; slot < end && hits.length < MAX_HITS; slot++) {
      const segment = segmentOf[slot] as number;
      const line = lineOf[slot] as number;
      if (segments[segment]?.hashes[line] === hash)
        hits.push({ segment, offset: segments[segment].offsets[line] as number });
    }
    return hits;
  };
  return { paths, find };
}
