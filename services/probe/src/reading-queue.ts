/**
 * What is read next, and whether yet: files that hold up other filesystems, then those of the root's that were never read,
 * then what was. A filesystem that hangs takes its share of the readers and no more; a rate may bound them all.
 */
import { createLru } from '@bintrail/runtime/lru.ts';
import { createByteBudget } from './byte-budget.ts';
import { type FileState, inodeKey } from './file-identity.ts';

type Job = { readonly state: FileState };

export type ReadingQueue<J extends Job> = {
  readonly add: (job: J) => void;
  /** Takes it out; harmless when it is not there. */
  readonly remove: (job: J) => void;
  /** Takes out what is to be read now, which has a reader until `done`; undefined when nothing may be. */
  readonly next: () => J | undefined;
  readonly done: (job: J) => void;
  /** The oldest of each kind, in the order of the kinds. */
  readonly oldest: () => J[];
  /** Whether the rate lets something be read now. */
  readonly mayRead: () => boolean;
  /** Whether it did not at some time in the last `ms`. */
  readonly wasLimited: (ms: number) => boolean;
  /** Notes what was read without having waited here. */
  readonly spend: (bytes: number) => void;
  /** Notes that this content was read, whatever that was worth. */
  readonly wasRead: (file: FileState) => void;
};

export type ReadingQueueOptions = {
  /** Device of the root filesystem as BPF names it: nobody waits to unmount that one. */
  readonly rootDev: number;
  /** Bytes in a second; undefined: as many as can. */
  readonly maxBytesPerS: number | undefined;
};

/** Files read at once, and of one filesystem: one that hangs takes two of libuv's threads, and the others go on. */
const MAX_READING = 4;
const MAX_READING_PER_DEVICE = 2;
const SEEN_ENTRIES = 65_536;

export function createReadingQueue<J extends Job>({ rootDev, maxBytesPerS }: ReadingQueueOptions): ReadingQueue<J> {
  const [outside, never, again] = [new Set<J>(), new Set<J>(), new Set<J>()];
  const queues = [outside, never, again];
  const seen = createLru<string, true>(SEEN_ENTRIES);
  const readers = new Map<number, number>();
  const budget = createByteBudget(maxBytesPerS);
  let reading = 0;

  const remove = (job: J) => {
    for (const queue of queues) queue.delete(job);
  };
  const first = (): J | undefined => {
    for (const queue of queues) {
      for (const job of queue) if ((readers.get(job.state.dev) ?? 0) < MAX_READING_PER_DEVICE) return job;
    }
    return undefined;
  };
  let limitedAtMs = Number.NEGATIVE_INFINITY;
  const mayRead = () => {
    const nowMs = performance.now();
    const hasSome = budget.hasSome(nowMs);
    if (!hasSome) limitedAtMs = nowMs;
    return hasSome;
  };
  const next = (): J | undefined => {
    const job = reading < MAX_READING && mayRead() ? first() : undefined;
    if (job === undefined) return undefined;
    remove(job);
    reading += 1;
    readers.set(job.state.dev, (readers.get(job.state.dev) ?? 0) + 1);
    budget.spend(Number(job.state.size));
    return job;
  };
  const done = ({ state: { dev } }: J) => {
    reading -= 1;
    const left = readers.get(dev)! - 1;
    if (left > 0) readers.set(dev, left);
    else readers.delete(dev);
  };
  const queueFor = ({ state }: J) => {
    if (state.dev !== rootDev) return outside;
    return seen.get(contentKey(state)) === undefined ? never : again;
  };
  return {
    add: (job) => queueFor(job).add(job),
    oldest: () => queues.flatMap((queue) => queue.values().next().value ?? []),
    wasRead: (file) => seen.set(contentKey(file), true),
    wasLimited: (ms) => performance.now() - limitedAtMs < ms,
    ...{ remove, next, done, mayRead, spend: budget.spend },
  };
}

function contentKey(file: FileState): string {
  return `${inodeKey(file)}:${file.mtime_ns}:${file.size}`;
}
