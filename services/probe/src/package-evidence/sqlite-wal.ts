/**
 * The write-ahead log beside an SQLite file (https://www.sqlite.org/walformat.html): pages that were committed and not
 * yet copied back. rpm leaves an empty one; one with content belongs to an rpm that runs, or was killed.
 */

export const HEADER_BYTES = 32;
export const FRAME_HEADER_BYTES = 24;
const MAGICS = new Set([0x377f0682, 0x377f0683]);

/**
 * Where in the log the last committed state of each page begins. Frames after the last commit, of an earlier log or
 * damaged ones do not count, as for SQLite. Empty when the log is none of this page size.
 */
export function committedPages(log: Buffer, pageBytes: number): ReadonlyMap<number, number> {
  const committed = new Map<number, number>();
  if (log.length < HEADER_BYTES || !MAGICS.has(log.readUInt32BE(0)) || log.readUInt32BE(8) !== pageBytes)
    return committed;
  const bigEndian = log.readUInt32BE(0) === 0x377f0683;
  const salts = log.subarray(16, 24);
  let sums = checksum(log, 0, 24, [0, 0], bigEndian);
  if (!hasSums(log, 24, sums)) return committed;
  const pending = new Map<number, number>();
  const frameBytes = FRAME_HEADER_BYTES + pageBytes;
  for (let at = HEADER_BYTES; at + frameBytes <= log.length; at += frameBytes) {
    if (log.compare(salts, 0, 8, at + 8, at + 16) !== 0) break;
    sums = checksum(log, at, at + 8, sums, bigEndian);
    sums = checksum(log, at + FRAME_HEADER_BYTES, at + frameBytes, sums, bigEndian);
    if (!hasSums(log, at + 16, sums)) break;
    pending.set(log.readUInt32BE(at), at + FRAME_HEADER_BYTES);
    if (log.readUInt32BE(at + 4) === 0) continue;
    for (const [page, content] of pending) committed.set(page, content);
    pending.clear();
  }
  return committed;
}

export type Sums = readonly [number, number];

function hasSums(log: Buffer, at: number, [first, second]: Sums): boolean {
  return log.readUInt32BE(at) === first && log.readUInt32BE(at + 4) === second;
}

/** Two running sums over 32-bit words (section "Checksum algorithm"). */
export function checksum(log: Buffer, from: number, to: number, [first, second]: Sums, bigEndian: boolean): Sums {
  const word = (at: number) => (bigEndian ? log.readUInt32BE(at) : log.readUInt32LE(at));
  let [a, b] = [first, second];
  for (let at = from; at < to; at += 8) {
    a = (a + word(at) + b) >>> 0;
    b = (b + word(at + 4) + a) >>> 0;
  }
  return [a, b];
}
