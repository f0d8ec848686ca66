import type { Libc } from './ffi.ts';

// include/uapi/linux/time.h
const CLOCK_REALTIME = 0;
const CLOCK_REALTIME_COARSE = 5;
const CLOCK_BOOTTIME = 7;

export type Clock = {
  /** Nanoseconds since the Unix epoch. */
  readonly nowNs: () => bigint;
  /** What to add to a boot-clock time to get wall-clock time, as of now: the kernel stamps events on the boot clock. */
  readonly bootOffsetNs: () => bigint;
  /** Length of a clock tick: how far apart two changes must be to be sure of two different ctimes. */
  readonly tickNs: bigint;
};

export function openClock(libc: Libc): Clock {
  const spec = new BigInt64Array(2);
  const read = (clock: number) => {
    libc.clockGettime(clock, spec);
    return spec[0]! * 1_000_000_000n + spec[1]!;
  };
  libc.clockGetres(CLOCK_REALTIME_COARSE, spec);
  return {
    nowNs: () => read(CLOCK_REALTIME),
    bootOffsetNs: () => read(CLOCK_REALTIME) - read(CLOCK_BOOTTIME),
    tickNs: spec[0]! * 1_000_000_000n + spec[1]!,
  };
}
