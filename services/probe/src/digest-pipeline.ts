/**
 * From open descriptors to digests: each file state is read once, however many descriptors and execs ask for it, and
 * no descriptor is held longer than its reading takes (a held one keeps its filesystem from being unmounted).
 */
import { closeSync, constants, fstatSync, openSync, readlinkSync } from 'node:fs';
import { createLru } from '@bintrail/runtime/lru.ts';
import type { DigestReason, DigestSource } from '@bintrail/schemas/digest-words.ts';
import { type FileState, identityKey, inodeKey, sameContentFields } from './file-identity.ts';
import type { Hasher } from './hasher.ts';
import { isCacheable, type Reading } from './reading.ts';

/** A file as a descriptor showed it: which process opened it for execution, and under which path of our own view. */
export type Sighted = { readonly pid: number; readonly state: FileState; readonly path: string; readonly atNs: bigint };

export type DigestPipeline = {
  /** Takes over a descriptor that fanotify delivered. Returns what it is, or undefined when it cannot be described. */
  readonly offer: (fd: number, pid: number) => Sighted | undefined;
  /** A finished reading that may answer for this file; undefined when there is none. */
  readonly known: (file: FileState) => Reading | undefined;
  /**
   * Calls back when the reading under way for this file ends, before its descriptor is closed. False when none is:
   * then the file was never handed to us, or too long ago.
   */
  readonly whenRead: (file: FileState, callback: (reading: Reading) => void) => boolean;
  /** Opens the program of a running process, for files fanotify cannot mark. Returns why it could not. */
  readonly offerRunning: (pid: number, file: FileState, path: string) => DigestReason | undefined;
  readonly held: () => number;
};

export type PipelineOptions = {
  readonly describe: (fd: number) => FileState | undefined;
  readonly hasher: Hasher;
  readonly nowNs: () => bigint;
  readonly tickNs: bigint;
  readonly maxFileBytes: number;
  /** Whether a package records an MD5 for this path, so that one must be computed from the same bytes. */
  readonly wantsMd5: (path: string, file: FileState) => Promise<boolean>;
  readonly onFatal: (error: unknown) => void;
};

type Job = { readonly state: FileState; readonly callbacks: ((reading: Reading) => void)[] };

const CACHE_ENTRIES = 65_536;
/**
 * Readings too weak to cache still answer for the execs whose events are just arriving: twice as many as may be waiting
 * in the probe's loop (RING_BATCH).
 */
const RECENT_ENTRIES = 16_384;
const RECENT_NS = 5_000_000_000n;

export function createDigestPipeline(options: PipelineOptions): DigestPipeline {
  const cache = createLru<string, Reading>(CACHE_ENTRIES);
  const recent = createLru<string, Reading[]>(RECENT_ENTRIES);
  const jobs = new Map<string, Job[]>();
  let held = 0;

  const finish = (job: Job, reading: Reading) => {
    const key = inodeKey(job.state);
    const others = (jobs.get(key) ?? []).filter((other) => other !== job);
    if (others.length > 0) jobs.set(key, others);
    else jobs.delete(key);
    if (isCacheable(reading, options.tickNs)) cache.set(identityKey(reading.before), reading);
    const fresh = (recent.touch(key) ?? []).filter((old) => options.nowNs() - old.startedNs < RECENT_NS);
    recent.set(key, [...fresh, reading]);
    for (const callback of job.callbacks) callback(reading);
  };

  const start = (fd: number, source: DigestSource, state: FileState, path: string) => {
    const job: Job = { state, callbacks: [] };
    const key = inodeKey(state);
    jobs.set(key, [...(jobs.get(key) ?? []), job]);
    held += 1;
    readDescriptor(options, fd, source, state, path)
      .then((reading) => finish(job, reading))
      .catch(options.onFatal)
      .finally(() => {
        held -= 1;
        closeSync(fd);
      });
  };

  /** Starts a reading unless one of the very same state is cached or under way; then the descriptor is not needed. */
  const take = (fd: number, source: DigestSource, state: FileState, path: string) => {
    const identity = identityKey(state);
    const underWay = jobs.get(inodeKey(state))?.some((job) => identityKey(job.state) === identity);
    if (cache.touch(identity) !== undefined || underWay) closeSync(fd);
    else start(fd, source, state, path);
  };

  const offer = (fd: number, pid: number): Sighted | undefined => {
    const state = look(options, fd);
    if (state === undefined) {
      closeSync(fd);
      return undefined;
    }
    const path = readlinkSync(`/proc/self/fd/${fd}`, 'latin1').replace(/ \(deleted\)$/, '');
    take(fd, 'held', state, path);
    return { pid, state, path, atNs: options.nowNs() };
  };

  const offerRunning = (pid: number, file: FileState, path: string): DigestReason | undefined => {
    const fd = openRunning(pid);
    if (typeof fd === 'string') return fd;
    const state = look(options, fd);
    if (state === undefined || inodeKey(state) !== inodeKey(file)) {
      closeSync(fd);
      return 'vanished';
    }
    start(fd, 'exe', state, path);
    return undefined;
  };

  const known = (file: FileState) => {
    const cached = cache.touch(identityKey(file));
    if (cached !== undefined) return cached;
    const readings = recent.touch(inodeKey(file)) ?? [];
    return readings.findLast((reading) => sameContentFields(reading.before, file)) ?? readings.at(-1);
  };
  const whenRead = (file: FileState, callback: (reading: Reading) => void) => {
    const candidates = jobs.get(inodeKey(file)) ?? [];
    const job = candidates.findLast((one) => sameContentFields(one.state, file)) ?? candidates.at(-1);
    job?.callbacks.push(callback);
    return job !== undefined;
  };
  return { offer, known, whenRead, offerRunning, held: () => held };
}

/** fstat first: on multigrain filesystems a queried ctime makes every later change visible (Linux 6.13). */
function look(options: PipelineOptions, fd: number): FileState | undefined {
  fstatSync(fd);
  return options.describe(fd);
}

function openRunning(pid: number): number | DigestReason {
  try {
    return openSync(`/proc/${pid}/exe`, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOATIME);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ESRCH' ? 'vanished' : 'unreadable';
  }
}

async function readDescriptor(
  options: PipelineOptions,
  fd: number,
  source: DigestSource,
  before: FileState,
  path: string,
): Promise<Reading> {
  const startedNs = options.nowNs();
  const failed = (failure: DigestReason): Reading => ({
    source,
    before,
    after: undefined,
    startedNs,
    sha256: '',
    md5: undefined,
    failure,
  });
  if (before.size > BigInt(options.maxFileBytes)) return failed('too_large');
  const wantMd5 = path !== '' && (await options.wantsMd5(path, before));
  const { failure, sha256, md5 } = await options.hasher.hash(fd, Number(before.size), wantMd5);
  if (failure !== '') return failed(failure);
  return { source, before, after: options.describe(fd), startedNs, sha256, md5, failure: '' };
}
