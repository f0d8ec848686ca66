/**
 * Who holds which descriptor, for how long, and in what order they are read. A held descriptor keeps its filesystem from
 * being unmounted, so each is let go within HOLD_MS, read or not; files that other filesystems hold up come first.
 */
import { closeSync, fstatSync, readlinkSync } from 'node:fs';
import { createLru, type Lru } from '@bintrail/runtime/lru.ts';
import type { DigestReason, DigestSource } from '@bintrail/schemas/digest-words.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { isNativeHead, readHead, readOwnHead } from './elf-head.ts';
import { type FileState, identityKey } from './file-identity.ts';
import { CHUNK_BYTES, type Extra, type HashAnswer, hashBytes, hashDescriptor, type Wanted } from './hashing.ts';
import type { Family } from './interpreters.ts';
import type { NamesFile } from './named-file.ts';
import { isCacheable, isReplaceable, type Reading } from './reading.ts';
import { createReadingQueue, type ReadingQueue } from './reading-queue.ts';

/** A file as a descriptor showed it: which process opened it for execution, and under which path of our own view. */
export type Sighted = { readonly pid: number; readonly state: FileState; readonly path: string; readonly atNs: bigint };

/** A descriptor somebody else opened: how, what it shows, under which path, and whose file it is (Reading). */
export type Opened = Pick<Job, 'source' | 'state' | 'path' | 'openedBy'>;

/**
 * What others get to know: a reading begins, and ends, with what its bytes say they are an interpreter of; a file that is no
 * program of this machine was opened.
 */
export type Told =
  | { readonly kind: 'begun'; readonly id: number; readonly state: FileState; readonly openedBy: number }
  | { readonly kind: 'read'; readonly id: number; readonly reading: Reading; readonly interpreter: Family | undefined }
  | { readonly kind: 'script'; readonly sighted: Sighted };

export type Descriptors = {
  /** Takes over a descriptor fanotify delivered. */
  readonly take: (fd: number, pid: number) => void;
  /** Takes over a descriptor of a file somebody already described, and tells of it by this id (negative: ours are not). */
  readonly read: (id: number, fd: number, opened: Opened) => void;
  readonly held: () => number;
  /** Lets a descriptor go that has waited for long, unread, for want of room. False when there is none. */
  readonly makeRoom: () => boolean;
  readonly close: () => void;
};

export type DescriptorOptions = {
  readonly describe: (fd: number) => FileState | undefined;
  readonly nowNs: () => bigint;
  readonly tickNs: bigint;
  readonly maxFileBytes: number;
  /** Bytes that may be read in a second; undefined: as many as can. */
  readonly maxBytesPerS: number | undefined;
  /** Device of the root filesystem as BPF names it: nobody waits to unmount that one. */
  readonly rootDev: number;
  /** The whole content of a file that can be had without waiting; undefined when it cannot. */
  readonly readCached: (fd: number, sizeBytes: number, magic: number) => Uint8Array | undefined;
  readonly namesFile: NamesFile;
  /** Asks the kernel for no more descriptors of this file until it is modified, or takes that back. */
  readonly silence: (fd: number, silent: boolean) => void;
  readonly tell: (told: Told) => void;
  /** A descriptor was closed unread. */
  readonly onReleased: () => void;
};

type Job = {
  readonly id: number;
  readonly fd: number;
  readonly source: DigestSource;
  readonly state: FileState;
  readonly identity: string;
  readonly path: string;
  readonly openedBy: number;
  readonly isNative: boolean;
  readonly heldSinceMs: number;
  startedNs: bigint;
  done: boolean;
};

/** 2 s is what an `umount` may have to wait; the rest is for looking only every SWEEP_MS. */
export const HOLD_MS = 1_500;
const SWEEP_MS = 100;
/** As long may one wait to be read when others wait for its place. */
const CROWDED_HOLD_MS = 500;
const KNOWN_ENTRIES = 65_536;
/** Where packages put their files (Filesystem Hierarchy Standard 3.0). */
const PACKAGED = /^\/(?:usr|bin|sbin|lib[^/]*|etc|opt|var|boot|srv)\//;
const UNLINKED = flagBit('unlinked');

export function createDescriptors(options: DescriptorOptions): Descriptors {
  const state: State = {
    options,
    known: createLru(KNOWN_ENTRIES),
    held: new Set(),
    underWay: new Map(),
    queue: createReadingQueue(options),
    chunks: [],
    ownHead: readOwnHead(),
    sweeper: undefined,
  };
  let nextId = 0;
  return {
    take: (fd, pid) => take(state, fd, pid, () => nextId++),
    read: (id, fd, opened) => start(state, newJob(id, fd, opened, false)),
    held: () => state.held.size,
    makeRoom: () => {
      const longAgoMs = performance.now() - CROWDED_HOLD_MS;
      const overdue = state.queue.oldest().find(({ heldSinceMs }) => heldSinceMs <= longAgoMs);
      if (overdue !== undefined) release(state, overdue, whyUnread(state, overdue));
      return overdue !== undefined;
    },
    close: () => {
      for (const job of state.held) release(state, job, 'timeout');
      clearInterval(state.sweeper);
    },
  };
}

type State = {
  readonly options: DescriptorOptions;
  /** Identities whose reading may answer for later execs. */
  readonly known: Lru<string, true>;
  readonly held: Set<Job>;
  readonly underWay: Map<string, Job>;
  readonly queue: ReadingQueue<Job>;
  readonly chunks: Buffer[];
  readonly ownHead: Uint8Array;
  sweeper: NodeJS.Timeout | undefined;
};

function take(state: State, fd: number, pid: number, newId: () => number): void {
  const { options } = state;
  const file = look(options, fd);
  if (file === undefined) {
    closeSync(fd);
    return;
  }
  const identity = identityKey(file);
  const isNative = isNativeHead(readHead(fd), state.ownHead);
  const isKnown = state.known.touch(identity) !== undefined;
  const isNeeded = !isKnown && (isReplaceable(file) || !state.underWay.has(identity));
  const path = isNeeded || !isNative ? pathOf(fd) : '';
  if (!isNative) options.tell({ kind: 'script', sighted: { pid, state: file, path, atNs: options.nowNs() } });
  if (isNeeded) {
    const job = newJob(newId(), fd, { source: 'held', state: file, path, openedBy: pid }, isNative);
    options.tell({ kind: 'begun', id: job.id, state: file, openedBy: pid });
    start(state, job);
    return;
  }
  // The kernel forgot the mark together with the inode: it is set anew.
  if (isKnown && isNative) {
    options.silence(fd, true);
    const now = options.describe(fd);
    if (now === undefined || identityKey(now) !== identity) options.silence(fd, false);
  }
  closeSync(fd);
}

function newJob(id: number, fd: number, opened: Opened, isNative: boolean): Job {
  const { source, state, path, openedBy } = opened;
  return {
    ...{ id, fd, source, state, identity: identityKey(state), path, openedBy, isNative },
    ...{ heldSinceMs: performance.now(), startedNs: 0n, done: false },
  };
}

function start(state: State, job: Job): void {
  state.held.add(job);
  if (job.state.size > BigInt(state.options.maxFileBytes)) {
    finish(state, job, failedReading(job, 'too_large'));
    return;
  }
  job.startedNs = state.options.nowNs();
  const bytes = state.queue.mayRead() && state.options.readCached(job.fd, Number(job.state.size), job.state.fs_magic);
  if (bytes) {
    state.queue.spend(bytes.length);
    conclude(state, job, hashBytes(bytes, wantedOf(job, state.options)));
    return;
  }
  job.startedNs = 0n;
  state.underWay.set(job.identity, job);
  state.queue.add(job);
  state.sweeper ??= setInterval(() => sweep(state), SWEEP_MS);
  pump(state);
}

/**
 * What packages record beside SHA-256: dpkg MD5, apk SHA-1. A file of a container shows with its path there, as if it
 * were ours. No host of ours has apk (its C library is another), so SHA-1 is for containers.
 */
function extrasOf({ path, state }: Job, { namesFile }: DescriptorOptions): readonly Extra[] {
  if (state.flags & UNLINKED) return [];
  if (!namesFile(path, state)) return ['md5', 'sha1'];
  return PACKAGED.test(path) ? ['md5'] : [];
}

/** What only mappings show are libraries. */
function wantedOf(job: Job, options: DescriptorOptions): Wanted {
  return { extras: extrasOf(job, options), isProgram: job.source !== 'map_files' };
}

function finish(state: State, job: Job, result: Reading, interpreter?: Family): void {
  if (job.done) return;
  job.done = true;
  state.held.delete(job);
  if (state.underWay.get(job.identity) === job) state.underWay.delete(job.identity);
  state.queue.remove(job);
  closeSync(job.fd);
  state.options.tell({ kind: 'read', id: job.id, reading: result, interpreter });
}

function release(state: State, job: Job, reason: DigestReason): void {
  finish(state, job, failedReading(job, reason));
  state.options.onReleased();
}

function sweep(state: State): void {
  const overdueMs = performance.now() - HOLD_MS;
  for (const job of state.held) {
    if (job.heldSinceMs <= overdueMs) release(state, job, whyUnread(state, job));
  }
  pump(state);
  if (state.held.size > 0) return;
  clearInterval(state.sweeper);
  state.sweeper = undefined;
}

function whyUnread({ queue }: State, { startedNs }: Job): DigestReason {
  if (startedNs !== 0n) return 'timeout';
  return queue.wasLimited(HOLD_MS) ? 'rate_limited' : 'overload';
}

/** Starts what may be read now. A reading that was given up keeps its place until the disk lets go of it. */
function pump(state: State): void {
  for (let next = state.queue.next(); next !== undefined; next = state.queue.next()) {
    const job = next;
    const chunk = state.chunks.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
    readJob(state, job, chunk).then(() => {
      state.chunks.push(chunk);
      state.queue.done(job);
      pump(state);
    });
  }
}

async function readJob(state: State, job: Job, chunk: Buffer): Promise<void> {
  job.startedNs = state.options.nowNs();
  const answer = await hashDescriptor(
    job.fd,
    Number(job.state.size),
    wantedOf(job, state.options),
    chunk,
    () => job.done,
  );
  if (!job.done) conclude(state, job, answer);
}

function conclude(state: State, job: Job, { failure, sha256, md5, sha1, interpreter }: HashAnswer): void {
  const { options } = state;
  if (failure !== '') {
    finish(state, job, failedReading(job, failure));
    return;
  }
  // Silenced before the last look: whatever changes from there on either shows in it, or breaks the silence.
  if (job.isNative) options.silence(job.fd, true);
  const after = options.describe(job.fd);
  const { source, state: before, startedNs, openedBy } = job;
  const result: Reading = { source, before, after, startedNs, openedBy, sha256, md5, sha1, failure: '' };
  state.queue.wasRead(before);
  if (isCacheable(result, options.tickNs)) state.known.set(job.identity, true);
  else if (job.isNative) options.silence(job.fd, false);
  finish(state, job, result, interpreter);
}

function failedReading({ source, state, startedNs, openedBy }: Job, failure: DigestReason): Reading {
  const nothing = { after: undefined, sha256: '', md5: undefined, sha1: undefined };
  return { source, before: state, startedNs, openedBy, failure, ...nothing };
}

/** fstat first: on multigrain filesystems a queried ctime makes every later change visible (Linux 6.13). */
function look(options: DescriptorOptions, fd: number): FileState | undefined {
  try {
    fstatSync(fd);
  } catch {
    // A disk that is gone: what can be said of the file stands in memory.
  }
  return options.describe(fd);
}

/** Empty when it is longer than the kernel shows: a page. */
function pathOf(fd: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`, 'latin1').replace(/ \(deleted\)$/, '');
  } catch {
    return '';
  }
}
