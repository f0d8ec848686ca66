/**
 * The census: counts of execs and exits per CPU that go on while no probe runs. Its map and links are pinned in bpffs by
 * the first probe of a boot; later ones open what is there. Removed by `npm run census -- remove`.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, readdirSync, renameSync, rmdirSync, statfsSync, statSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { collectLibbpfWarnings, isNull, type Libbpf, type Libc, lastErrno, type Pointer } from './ffi.ts';

/** Counts of one CPU since the census began. */
export type CensusCounts = { readonly cpu: number; readonly execs: bigint; readonly exits: bigint };

export type Counting = {
  /** Random, made with the census: counts of two censuses say nothing of each other. */
  readonly id: bigint;
  /** The pinned map, to be shared with the probe's own programs. */
  readonly countsFd: number;
  /** One entry for each CPU the kernel may have, in order. */
  readonly counts: () => CensusCounts[];
  readonly close: () => void;
};

/** Why nobody counts: `folder` is not in a bpffs, or the kernel refused. `words` are for the operator. */
export type Uncounted = { readonly reason: 'no_bpffs' | 'refused'; readonly words: string };

export type Census = Counting | Uncounted;

/** Where probes keep the census unless told otherwise. */
export const CENSUS_FOLDER = '/sys/fs/bpf/bintrail';
/** What census.h and census.bpf.c lay out; another number where either changes. */
const CENSUS_LAYOUT = 1;
/** include/uapi/linux/magic.h */
const BPF_FS_MAGIC = 0xcafe_4a11;
const PROGRAMS = ['count_exec', 'count_exit'] as const;
const MAPS = ['census_counts', 'census_about'] as const;
const COUNTS_BYTES = 16;
const ABOUT_BYTES = 16;
const PINNED = 'census';
/** Two probes may start at once, and an operator may remove it meanwhile: each time somebody else was quicker. */
const MAX_TRIES = 16;

export function isCounting(census: Census): census is Counting {
  return 'id' in census;
}

/** Opens the census of this boot in `folder`, or begins one. Whatever stands in the way is an answer, not an error. */
export function openCensus(libbpf: Libbpf, libc: Libc, objectPath: string, folder: string): Census {
  if (!isInBpffs(folder)) {
    return {
      reason: 'no_bpffs',
      words: `${folder} is in no bpffs, so nobody counts what runs while the probe is down; mount -t bpf bpf /sys/fs/bpf`,
    };
  }
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    removeRemains(folder);
    for (let triesLeft = MAX_TRIES; triesLeft > 0; triesLeft--) {
      const there = openPinned(libbpf, join(folder, PINNED));
      if (there !== undefined) return there;
      begin(libbpf, libc, objectPath, folder);
      const begun = openPinned(libbpf, join(folder, PINNED));
      if (begun !== undefined) return begun;
      // What is in the way is of another layout. Should it be one that was begun just now: whoever uses that will see
      // it stand still, and its gaps are unknown.
      setAside(folder);
    }
    return { reason: 'refused', words: `${folder}: others kept replacing the census` };
  } catch (error) {
    if (error instanceof Refused || isSystemError(error)) return { reason: 'refused', words: error.message };
    throw error;
  }
}

/** What the census in `folder` has counted; undefined where there is none. Begins none. */
export function showCensus(libbpf: Libbpf, folder: string): CensusCounts[] | undefined {
  const counting = openPinned(libbpf, join(folder, PINNED));
  try {
    return counting?.counts();
  } finally {
    counting?.close();
  }
}

/** Ends the census in `folder`: nothing counts any more, and the next probe begins another. False where none was. */
export function removeCensus(folder: string): boolean {
  const was = isThere(join(folder, PINNED));
  setAside(folder);
  return was;
}

class Refused extends Error {
  override readonly name = 'Refused';
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).errno === 'number';
}

function isInBpffs(folder: string): boolean {
  const existing = isThere(folder) ? folder : dirname(folder);
  return isThere(existing) && statfsSync(existing).type === BPF_FS_MAGIC;
}

/** Not by access(2), as `existsSync` does it: for that the capabilities of who is not root do not count. */
function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Undefined where there is none, or one that is not whole or laid out otherwise. */
function openPinned(libbpf: Libbpf, pinned: string): Counting | undefined {
  const fds: number[] = [];
  const open = (name: string) => {
    const fd = Number(libbpf.objGet(join(pinned, name)));
    if (fd >= 0) fds.push(fd);
    return fd;
  };
  const [countsFd, aboutFd, ...links] = [...MAPS, ...PROGRAMS].map(open) as [number, number, ...number[]];
  const whole = fds.length === MAPS.length + PROGRAMS.length;
  const id = whole ? idOf(libbpf, countsFd, aboutFd) : undefined;
  // A link stays while it is pinned, whoever holds it open.
  for (const fd of id === undefined ? fds : [aboutFd, ...links]) closeSync(fd);
  if (id === undefined) return undefined;
  return { id, countsFd, counts: countsReader(libbpf, countsFd), close: () => closeSync(countsFd) };
}

function idOf(libbpf: Libbpf, countsFd: number, aboutFd: number): bigint | undefined {
  // First, so that nothing is read into less room than it takes.
  if (valueBytes(libbpf, countsFd) !== COUNTS_BYTES || valueBytes(libbpf, aboutFd) !== ABOUT_BYTES) return undefined;
  const about = new DataView(new ArrayBuffer(ABOUT_BYTES));
  const read = libbpf.lookup(aboutFd, new Uint32Array(1), new Uint8Array(about.buffer));
  if (Number(read) < 0 || about.getUint32(0, true) !== CENSUS_LAYOUT) return undefined;
  return about.getBigUint64(8, true);
}

/** struct bpf_map_info begins with type, id, key_size, value_size (include/uapi/linux/bpf.h). */
function valueBytes(libbpf: Libbpf, fd: number): number {
  const info = new Uint32Array(4);
  if (Number(libbpf.objectInfo(fd, info, new Uint32Array([info.byteLength]))) < 0) return 0;
  return info[3]!;
}

function countsReader(libbpf: Libbpf, fd: number): () => CensusCounts[] {
  const cpus = Number(libbpf.possibleCpus());
  const values = new BigUint64Array(cpus * 2);
  return () => {
    if (Number(libbpf.lookup(fd, new Uint32Array(1), values)) < 0) {
      throw new Error(`reading the census failed: errno ${lastErrno()}`);
    }
    return Array.from({ length: cpus }, (_, cpu) => ({ cpu, execs: values[cpu * 2]!, exits: values[cpu * 2 + 1]! }));
  };
}

/** Begins one beside, and puts it in place whole; if another is there by then, that one stays. */
function begin(libbpf: Libbpf, libc: Libc, objectPath: string, folder: string): void {
  const own = join(folder, `new-${process.pid}-${randomBytes(4).toString('hex')}`);
  const warnings: string[] = [];
  const stopCollecting = collectLibbpfWarnings(libbpf, libc, warnings);
  const check = (done: number | bigint, what: string) => {
    if (Number(done) >= 0) return Number(done);
    throw new Refused(`the kernel refused the census (${what}): errno ${lastErrno()} ${warnings.slice(-4).join(' ')}`);
  };
  const object = libbpf.openFile(objectPath, 0n) as Pointer;
  const links: Pointer[] = [];
  try {
    mkdirSync(own, { mode: 0o700 });
    check(isNull(object) ? -1 : 0, objectPath);
    check(libbpf.load(object), 'load');
    const mapFd = (name: string) => check(libbpf.findMapFd(object, name), name);
    const about = new DataView(new ArrayBuffer(ABOUT_BYTES));
    about.setUint32(0, CENSUS_LAYOUT, true);
    about.setBigUint64(8, randomBytes(8).readBigUInt64LE() | 1n, true);
    check(libbpf.update(mapFd('census_about'), new Uint32Array(1), new Uint8Array(about.buffer), 0n), 'census_about');
    for (const name of MAPS) check(libbpf.objPin(mapFd(name), join(own, name)), `pin ${name}`);
    for (const name of PROGRAMS) {
      const link = libbpf.attach(libbpf.findProgram(object, name)) as Pointer;
      check(isNull(link) ? -1 : 0, `attach ${name}`);
      links.push(link);
      check(libbpf.objPin(libbpf.linkFd(link), join(own, name)), `pin ${name}`);
    }
    putInPlace(own, join(folder, PINNED));
  } finally {
    stopCollecting();
    for (const link of links) libbpf.destroyLink(link);
    if (!isNull(object)) libbpf.closeObject(object);
    removeFolder(own);
  }
}

/** rename(2) onto a folder that is not empty fails: of two probes one wins, and nobody sees half a census. */
function putInPlace(own: string, pinned: string): void {
  try {
    renameSync(own, pinned);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
}

function setAside(folder: string): void {
  const old = join(folder, `old-${process.pid}-${randomBytes(4).toString('hex')}`);
  try {
    renameSync(join(folder, PINNED), old);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  removeFolder(old);
}

/** What processes left behind that died while they began or ended a census. */
function removeRemains(folder: string): void {
  for (const name of readdirSync(folder)) {
    const [, pid] = /^(?:new|old)-(\d+)-/.exec(name) ?? [];
    if (pid !== undefined && !isThere(`/proc/${pid}`)) removeFolder(join(folder, name));
  }
}

function removeFolder(path: string): void {
  if (!isThere(path)) return;
  for (const name of readdirSync(path)) unlinkSync(join(path, name));
  rmdirSync(path);
}
