import type { Libc } from './ffi.ts';

// include/uapi/linux/time.h
const CLOCK_REALTIME = 0;
const CLOCK_REALTIME_COARSE = 5;
const CLOCK_BOOTTIME = 7;

export type Clock = {
  /** Nanoseconds since the Unix epoch. */
  readonly nowNs: () => bigint;
  /**
   * What to add to a boot-clock time to get wall-clock time, as of now: the kernel stamps events on the boot clock.
   * Too much by 50 µs at most, unless the thread is put aside again and again.
   */
  readonly bootOffsetNs: () => bigint;
  /** Length of a clock tick: how far apart two changes must be to be sure of two different ctimes. */
  readonly tickNs: bigint;
};

/** Whoever is put aside between two clocks reads times apart: then they are read again, so often. */
const TOGETHER_NS = 50_000n;
const TRIES = 16;

export function openClock(libc: Pick<Libc, 'clockGettime' | 'clockGetres'>): Clock {
  const spec = new BigInt64Array(2);
  const read = (clock: number) => {
    libc.clockGettime(clock, spec);
    return spec[0]! * 1_000_000_000n + spec[1]!;
  };
  const bootOffsetNs = () => {
    let best = { offset: 0n, spent: 1n << 62n };
    for (let tries = 0; tries < TRIES && best.spent > TOGETHER_NS; tries++) {
      const before = read(CLOCK_BOOTTIME);
      const offset = read(CLOCK_REALTIME) - before;
      const spent = read(CLOCK_BOOTTIME) - before;
      if (spent < best.spent) best = { offset, spent };
    }
    return best.offset;
  };
  libc.clockGetres(CLOCK_REALTIME_COARSE, spec);
  return {
    nowNs: () => read(CLOCK_REALTIME),
    bootOffsetNs,
    tickNs: spec[0]! * 1_000_000_000n + spec[1]!,
  };
}
