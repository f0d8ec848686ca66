/** What the probe's main thread and its reader say to each other. */
import type { Opened, Told } from './descriptors.ts';

/** Descriptors go by number: they belong to the process, and whoever gets the number owns it from then on. */
export type ToReader =
  /** Asks for `passed` once everything is told that the kernel had queued before this. */
  | { readonly kind: 'fence'; readonly id: number }
  | ({ readonly kind: 'read'; readonly id: number; readonly fd: number } & Opened)
  | { readonly kind: 'close' };

export type FromReader = Told | { readonly kind: 'passed'; readonly id: number };

export type ReaderData = {
  readonly fanotifyFd: number;
  readonly describeProgramFd: number;
  readonly tickNs: bigint;
  readonly maxFileBytes: number;
  readonly maxBytesPerS: number | undefined;
  readonly maxHeld: number;
  readonly rootDev: number;
  /** One 64-bit number each, by FIGURES. */
  readonly figures: SharedArrayBuffer;
};

/** Kept by the reader, read by anyone; all but `held` only grow. `passed` is the last fence that was. */
export const FIGURES = {
  held: 0,
  delivered: 1,
  overflows: 2,
  overflowedAtNs: 3,
  unopened: 4,
  /** Given up, of what was delivered or asked for. */
  released: 5,
  passed: 6,
  asked: 7,
} as const;
