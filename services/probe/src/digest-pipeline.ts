/** Which reading answers for which exec: the main thread's ledger of what the reader has under way, and has found. */
import { closeSync, constants, openSync } from 'node:fs';
import { createLru } from '@bintrail/runtime/lru.ts';
import type { DigestReason, DigestSource } from '@bintrail/schemas/digest-words.ts';
import type { Opened, Told } from './descriptors.ts';
import { type FileState, identityKey, inodeKey, sameContentFields } from './file-identity.ts';
import { openPathOnly } from './named-file.ts';
import { isCacheable, isReplaceable, type Reading } from './reading.ts';

export type DigestPipeline = {
  /** Takes in what the reader tells. */
  readonly tell: (told: Exclude<Told, { kind: 'script' }>) => void;
  /** A finished reading that may answer for this file as a process had it; undefined when there is none. */
  readonly known: (file: FileState, pid: number) => Reading | undefined;
  /** Calls back when the reading under way for this file ends. False when none is. */
  readonly whenRead: (file: FileState, pid: number, callback: (reading: Reading) => void) => boolean;
  /**
   * Opens the program of a running process, or what its path still names, for files fanotify cannot mark and for known
   * ones whose state moved without being written. Returns why it could not.
   */
  readonly offerRunning: (pid: number, file: FileState, path: string) => DigestReason | undefined;
  /** The same of what a running process has mapped between two addresses. */
  readonly offerMapped: (
    pid: number,
    from: bigint,
    to: bigint,
    file: FileState,
    path: string,
  ) => DigestReason | undefined;
  /** The same of what a running process has open, by its descriptor where that is known. */
  readonly offerOpen: (pid: number, fd: number | undefined, file: FileState, path: string) => DigestReason | undefined;
  /** The same of a descriptor of ours that only names the file (O_PATH), and is closed. */
  readonly offerNamed: (pid: number, named: number, file: FileState, path: string) => DigestReason | undefined;
};

export type PipelineOptions = {
  readonly describe: (fd: number) => FileState | undefined;
  readonly nowNs: () => bigint;
  readonly tickNs: bigint;
  /** Hands a descriptor to the reader, who owns it from then on and tells of it by this id. */
  readonly read: (request: Request) => void;
  /**
   * Opens what a path names without ever waiting for it (O_PATH), below the root of a process where one is given;
   * undefined when that is not possible.
   */
  readonly openNamed: (path: string, pid?: number) => number | undefined;
};

type Request = Opened & { readonly id: number; readonly fd: number };

type Job = {
  readonly id: number;
  readonly state: FileState;
  readonly openedBy: number;
  readonly callbacks: ((reading: Reading) => void)[];
};

const CACHE_ENTRIES = 65_536;
/**
 * Readings too weak to cache still answer for the execs whose events are still to come: about as many as wait in the ring
 * of execs when it is full, since the reader may be that far ahead of the probe's loop.
 */
const RECENT_ENTRIES = 65_536;
const RECENT_NS = 5_000_000_000n;

export function createDigestPipeline(options: PipelineOptions): DigestPipeline {
  /** By inode: a cached reading of an earlier state can never answer `exact` again. */
  const cache = createLru<string, Reading>(CACHE_ENTRIES);
  const recent = createLru<string, Reading[]>(RECENT_ENTRIES);
  const jobs = new Map<number, Job>();
  const jobsByInode = new Map<string, Job[]>();
  let ownIds = -1;

  const begin = (id: number, state: FileState, openedBy: number) => {
    const job: Job = { id, state, openedBy, callbacks: [] };
    const key = inodeKey(state);
    jobs.set(id, job);
    jobsByInode.set(key, [...(jobsByInode.get(key) ?? []), job]);
  };
  const finish = (id: number, reading: Reading) => {
    const job = jobs.get(id);
    if (job === undefined) return;
    jobs.delete(id);
    const key = inodeKey(job.state);
    const others = (jobsByInode.get(key) ?? []).filter((other) => other !== job);
    if (others.length > 0) jobsByInode.set(key, others);
    else jobsByInode.delete(key);
    if (isCacheable(reading, options.tickNs)) cache.set(key, reading);
    else {
      const fresh = (recent.touch(key) ?? []).filter((old) => options.nowNs() - old.startedNs < RECENT_NS);
      recent.set(key, [...fresh, reading]);
    }
    for (const callback of job.callbacks) callback(reading);
  };
  const cached = (file: FileState): Reading | undefined => {
    const reading = cache.touch(inodeKey(file));
    return reading !== undefined && identityKey(reading.before) === identityKey(file) ? reading : undefined;
  };
  const known = (file: FileState, pid: number): Reading | undefined => {
    const readings = (recent.touch(inodeKey(file)) ?? []).filter(mayAnswer(file, pid));
    return cached(file) ?? readings.findLast((reading) => sameContentFields(reading.before, file)) ?? readings.at(-1);
  };
  const whenRead = (file: FileState, pid: number, callback: (reading: Reading) => void) => {
    const candidates = (jobsByInode.get(inodeKey(file)) ?? []).filter(mayAnswer(file, pid));
    const job = candidates.findLast((one) => sameContentFields(one.state, file)) ?? candidates.at(-1);
    job?.callbacks.push(callback);
    return job !== undefined;
  };
  const offer = (pid: number, opened: Shown | DigestReason, file: FileState, path: string) => {
    const id = ownIds--;
    const earlier = cache.get(inodeKey(file));
    if (typeof opened === 'object') {
      begin(id, opened.state, pid);
      options.read({ id, ...opened, path, openedBy: pid });
    } else if (earlier !== undefined && sameContentFields(earlier.before, file)) {
      // Gone before it could be read again: what it was before only its metadata moved.
      begin(id, file, pid);
      queueMicrotask(() => finish(id, { ...earlier, after: earlier.before }));
    } else return opened;
    return undefined;
  };
  return {
    tell: (told) => (told.kind === 'begun' ? begin(told.id, told.state, told.openedBy) : finish(told.id, told.reading)),
    ...{ known, whenRead },
    offerRunning: (pid, file, path) => {
      const running = { link: `/proc/${pid}/exe`, source: 'exe' } as const;
      return offer(pid, openAgain(options, running, file, path), file, path);
    },
    offerMapped: (pid, from, to, file, path) => {
      const link = `/proc/${pid}/map_files/${from.toString(16)}-${to.toString(16)}`;
      return offer(pid, openAgain(options, { link, source: 'map_files' }, file, path), file, path);
    },
    offerOpen: (pid, fd, file, path) => offer(pid, openOpen(options, { pid, fd }, file, path), file, path),
    offerNamed: (pid, named, file, path) => offer(pid, reopen(options, named, 'path', file), file, path),
  };
}

/** Where another filesystem may have taken the place of this one, only what the very process had opened is of its file. */
const mayAnswer =
  (file: FileState, pid: number) =>
  ({ openedBy }: { readonly openedBy: number }): boolean =>
    openedBy === pid || !isReplaceable(file);

type Shown = { readonly fd: number; readonly source: DigestSource; readonly state: FileState };

/** The link by which a process shows a file that it runs or has mapped (proc_pid_map_files(5)). */
type Running = { readonly link: string; readonly source: DigestSource };

function openAgain(options: PipelineOptions, running: Running, file: FileState, path: string): Shown | DigestReason {
  const shown = openFile(running.link);
  const first = typeof shown === 'number' ? described(options, shown, running.source, file) : shown;
  // What the path names by now may be another filesystem's.
  if (typeof first === 'object' || isReplaceable(file)) return first;
  const again = reopen(options, options.openNamed(path), 'path', file);
  return again === 'vanished' ? first : again;
}

/** By the descriptor of a process, by the path in its own mounts, or in ours. */
function openOpen(
  options: PipelineOptions,
  { pid, fd }: { readonly pid: number; readonly fd: number | undefined },
  file: FileState,
  path: string,
): Shown | DigestReason {
  const byFd = fd === undefined ? 'vanished' : reopen(options, openPathOnly(`/proc/${pid}/fd/${fd}`), 'fd', file);
  if (byFd !== 'vanished' || isReplaceable(file)) return byFd;
  const inItsRoot = reopen(options, options.openNamed(path, pid), 'path', file);
  return inItsRoot === 'vanished' ? reopen(options, options.openNamed(path), 'path', file) : inItsRoot;
}

/** Owns the descriptor, which only names something: nothing is opened but the very file, since it may be a device by now. */
function reopen(
  options: PipelineOptions,
  named: number | undefined,
  source: DigestSource,
  file: FileState,
): Shown | DigestReason {
  if (named === undefined) return 'vanished';
  const state = options.describe(named);
  const isIt = state !== undefined && inodeKey(state) === inodeKey(file);
  const reopened = isIt ? openFile(`/proc/self/fd/${named}`) : 'vanished';
  closeSync(named);
  return typeof reopened === 'number' ? described(options, reopened, source, file) : reopened;
}

/** Owns the descriptor; closes it when it is another file's. */
function described(options: PipelineOptions, fd: number, source: DigestSource, file: FileState): Shown | DigestReason {
  const state = options.describe(fd);
  if (state !== undefined && inodeKey(state) === inodeKey(file)) return { fd, source, state };
  closeSync(fd);
  return 'vanished';
}

function openFile(path: string, noAtime = true): number | DigestReason {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  try {
    return openSync(path, noAtime ? flags | constants.O_NOATIME : flags);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Only its owner and CAP_FOWNER may read a file without leaving a trace.
    if (code === 'EPERM' && noAtime) return openFile(path, false);
    return code === 'ENOENT' || code === 'ESRCH' ? 'vanished' : 'unreadable';
  }
}
