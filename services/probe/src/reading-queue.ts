/**
 * What is read next, and whether yet: files that hold up other filesystems, then those of the root's that were never read,
 * then what was. A filesystem that hangs takes its share of the readers and no more; a rate may bound them all.
 */
import { createLru } from '@bintrail/runtime/lru.ts';
import { createByteBudget } from './byte-budget.ts';
import { type FileState, inodeKey } from './file-identity.ts';
import { createLine, type Line } from './line.ts';

type Job = { readonly state: FileState };

export type ReadingQueue<J extends Job> = {
  readonly add: (job: J) => void;
  /** Takes it out; harmless when it is not there. */
  readonly remove: (job: J) => void;
  /** Takes out what is to be read now, which has a reader until `done`; undefined when nothing may be. */
  readonly next: () => J | undefined;
  readonly done: (job: J) => void;
  /** The oldest of each other filesystem, then of each kind of the root's. */
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
  // By device, and in turns: one whose readers hang must cost the others no look at what waits for them.
  const outside = new Map<number, Line<J>>();
  const [never, again] = [createLine<J>(), createLine<J>()];
  const seen = createLru<string, true>(SEEN_ENTRIES);
  const readers = new Map<number, number>();
  const budget = createByteBudget(maxBytesPerS);
  let reading = 0;

  const remove = (job: J) => {
    never.remove(job);
    again.remove(job);
    const { dev } = job.state;
    const line = outside.get(dev);
    if (!line?.remove(job)) return;
    // To the end of the filesystems: the others' turn comes first.
    outside.delete(dev);
    if (line.size() > 0) outside.set(dev, line);
  };
  const hasRoom = (dev: number) => (readers.get(dev) ?? 0) < MAX_READING_PER_DEVICE;
  const first = (): J | undefined => {
    for (const [dev, line] of outside) if (hasRoom(dev)) return line.first();
    return hasRoom(rootDev) ? (never.first() ?? again.first()) : undefined;
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
  const lineFor = ({ state }: J): Line<J> => {
    if (state.dev === rootDev) return seen.get(contentKey(state)) === undefined ? never : again;
    const line = outside.get(state.dev) ?? createLine<J>();
    outside.set(state.dev, line);
    return line;
  };
  return {
    add: (job) => lineFor(job).add(job),
    oldest: () => [...outside.values(), never, again].flatMap((line) => line.first() ?? []),
    wasRead: (file) => seen.set(contentKey(file), true),
    wasLimited: (ms) => performance.now() - limitedAtMs < ms,
    ...{ remove, next, done, mayRead, spend: budget.spend },
  };
}

function contentKey(file: FileState): string {
  return `${inodeKey(file)}:${file.mtime_ns}:${file.size}`;
}
