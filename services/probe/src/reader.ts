/** The main thread's side of the reader: starts it, asks it to catch up, hears what it found. */
import { closeSync, constants, openSync, readdirSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { SetupError } from '@bintrail/runtime/errors.ts';
import type { BpfObject } from './bpf-object.ts';
import type { Told } from './descriptors.ts';
import type { Libc } from './ffi.ts';
import { FIGURES, type FromReader, type ReaderData, type ToReader } from './reader-messages.ts';

export type Reader = {
  /**
   * Resolves when all is told of the descriptors that the kernel had queued before this call: true. False when the reader
   * needs longer for that than the bound: then go on without.
   */
  readonly caughtUp: () => Promise<boolean>;
  readonly read: (request: Omit<Extract<ToReader, { kind: 'read' }>, 'kind'>) => void;
  readonly figure: (name: keyof typeof FIGURES) => bigint;
  readonly close: () => Promise<void>;
};

export type ReaderOptions = {
  readonly libc: Libc;
  readonly bpf: BpfObject;
  readonly fanotifyFd: number;
  readonly tickNs: bigint;
  readonly maxFileBytes: number;
  readonly maxBytesPerS: number | undefined;
  readonly onTold: (told: Told) => void;
  readonly onFatal: (error: unknown) => void;
};

/** More than these are never held, however many the process may open. */
const MAX_HELD = 4_096;
/** Kept free for everything else the probe opens. */
const RESERVED_DESCRIPTORS = 24;
const MIN_HELD = 4;
const CATCH_UP_MS = 1_000;
/** include/uapi/asm-generic/resource.h */
const RLIMIT_NOFILE = 7;

/** Throws SetupError when this process may open too few files. */
export function startReader(options: ReaderOptions): Reader {
  const figures = new BigInt64Array(new SharedArrayBuffer(8 * Object.keys(FIGURES).length));
  const waiting = new Map<number, (caughtUp: boolean) => void>();
  let nextFence = 1;
  const workerData: ReaderData = {
    ...{ fanotifyFd: options.fanotifyFd, describeProgramFd: options.bpf.describeProgramFd },
    ...{ tickNs: options.tickNs, maxFileBytes: options.maxFileBytes, maxBytesPerS: options.maxBytesPerS },
    ...{ maxHeld: descriptorBudget(options.libc), rootDev: rootDevice(options.bpf) },
    figures: figures.buffer as SharedArrayBuffer,
  };
  const worker = new Worker(new URL('./reader-thread.ts', import.meta.url), {
    ...{ workerData, name: 'reader', resourceLimits: { maxYoungGenerationSizeMb: 8 } },
    // Descriptors come from the kernel and from the main thread: Node cannot know who opened them.
    trackUnmanagedFds: false,
  });
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  worker.on('error', options.onFatal);
  worker.on('message', (messages: readonly FromReader[]) => {
    for (const message of messages) {
      if (message.kind !== 'passed') options.onTold(message);
      else waiting.get(message.id)?.(true);
    }
  });
  const send = (message: ToReader) => worker.postMessage(message);
  const caughtUp = () => {
    const id = nextFence++;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    // Only the reader's time counts: what it has told by then, and we have not read, will be.
    const hasPassed = () => Atomics.load(figures, FIGURES.passed) >= BigInt(id);
    const timer = setTimeout(() => hasPassed() || resolve(false), CATCH_UP_MS);
    waiting.set(id, resolve);
    send({ kind: 'fence', id });
    return promise.finally(() => {
      clearTimeout(timer);
      waiting.delete(id);
    });
  };
  return {
    caughtUp,
    read: (request) => send({ kind: 'read', ...request }),
    figure: (name) => Atomics.load(figures, FIGURES[name]),
    close: () => {
      send({ kind: 'close' });
      return ended;
    },
  };
}

/** How many descriptors may be held: at the limit of open files fanotify's read fails, and what it had is gone. */
function descriptorBudget(libc: Libc): number {
  const limits = new BigUint64Array(2);
  libc.getrlimit(RLIMIT_NOFILE, limits);
  if (limits[0]! < limits[1]!) {
    const raised = BigUint64Array.of(limits[1]!, limits[1]!);
    if (Number(libc.setrlimit(RLIMIT_NOFILE, raised)) === 0) limits[0] = limits[1]!;
  }
  const free = Number(limits[0]) - readdirSync('/proc/self/fd').length - RESERVED_DESCRIPTORS;
  if (free >= MIN_HELD) return Math.min(MAX_HELD, free);
  throw new SetupError(
    `only ${limits[0]} files may be open`,
    `allow at least ${Number(limits[0]) - free + MIN_HELD} (ulimit -n, LimitNOFILE=)`,
  );
}

function rootDevice({ describe }: BpfObject): number {
  const fd = openSync('/', constants.O_RDONLY | constants.O_DIRECTORY);
  const device = describe(fd)?.dev ?? 0;
  closeSync(fd);
  return device;
}
