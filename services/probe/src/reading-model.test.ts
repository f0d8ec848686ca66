/**
 * Histories of one file on a model of the kernel's timestamps: whatever was written, asked for, run and read when, no
 * digest that claims to be certain is another than that of the bytes that ran.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flagBit } from '@bintrail/schemas/flags.ts';
import fc from 'fast-check';
import type { FileState } from './file-identity.ts';
import { type Executed, evidenceFrom, isCacheable, type Reading } from './reading.ts';

const TICK_NS = 4_000_000n;
const FINE = flagBit('fine_ctime');

type Kernel = {
  readonly isFine: boolean;
  /** How late the clock of ticks is moved on: less than a tick. */
  readonly lateNs: bigint;
  nowNs: bigint;
  /** No coarse time is before the last fine one (kernel/time/timekeeping.c, mg_floor). */
  floorNs: bigint;
  ctimeNs: bigint;
  mtimeNs: bigint;
  content: number;
  isQueried: boolean;
  /** Nobody writes to what runs. */
  runsUntilNs: bigint;
};

/** inode_set_ctime_current of Linux 6.13 (fs/inode.c); before, and on other filesystems, the time of the last tick. */
function touch(kernel: Kernel): void {
  const ticks = ((kernel.nowNs - kernel.lateNs) / TICK_NS) * TICK_NS;
  const coarse = ticks > kernel.floorNs ? ticks : kernel.floorNs;
  const isFine = kernel.isFine && kernel.isQueried && coarse <= kernel.ctimeNs;
  if (isFine) kernel.floorNs = kernel.nowNs;
  const stamp = isFine ? kernel.nowNs : coarse;
  if (stamp !== kernel.ctimeNs) kernel.isQueried = false;
  kernel.ctimeNs = stamp;
}

function describe({ ctimeNs, mtimeNs, isFine, isQueried }: Kernel, writecount: number): FileState {
  return {
    ...{
      dev: 8 << 20,
      generation: 7,
      ino: 42n,
      ctime_ns: ctimeNs,
      mtime_ns: mtimeNs,
      size: 100n,
      nlink: 1,
      writecount,
    },
    ...{ fs_magic: 0xef53, flags: isFine && isQueried ? FINE : 0 },
  };
}

const step = (longestNs: bigint) => fc.bigInt(1n, longestNs);
/** Some moments lie close together, others a few ticks apart. */
const pause = fc.oneof(step(1_000n), step(TICK_NS), step(4n * TICK_NS));
const event = fc.record({
  ...{ pause, kind: fc.constantFrom('write', 'write', 'chmod', 'query', 'exec', 'exec', 'read', 'read') },
  /** Of a write: puts mtime back. Of a reading: asks for the times first, as for a descriptor of fanotify. */
  careful: fc.boolean(),
  /** Of an exec: how long it runs. Of a reading: between its looks. */
  lasts: pause,
});
const history = fc.record({
  ...{
    isFine: fc.boolean(),
    lateNs: fc.bigInt(0n, TICK_NS - 1n),
    events: fc.array(event, { minLength: 4, maxLength: 12 }),
  },
});

type History = typeof history extends fc.Arbitrary<infer T> ? T : never;
type Run = Executed & { readonly content: number; readonly untilNs: bigint };
type Read = Reading & { readonly content: number; readonly endNs: bigint };

function play({ isFine, lateNs, events }: History): { runs: Run[]; reads: Read[] } {
  const kernel: Kernel = {
    ...{ isFine, lateNs, nowNs: 1_000n * TICK_NS, floorNs: 0n, ctimeNs: 0n, mtimeNs: 0n, content: 0, isQueried: false },
    runsUntilNs: 0n,
  };
  touch(kernel);
  const [runs, reads, open]: [Run[], Read[], ((kernel: Kernel) => boolean)[]] = [[], [], []];
  const act: Record<string, (careful: boolean, lasts: bigint) => void> = {
    write: (careful) => {
      if (kernel.nowNs < kernel.runsUntilNs) return;
      kernel.content += 1;
      touch(kernel);
      if (!careful) kernel.mtimeNs = kernel.ctimeNs;
    },
    chmod: () => touch(kernel),
    query: () => {
      kernel.isQueried = true;
    },
    exec: (_, lasts) => {
      const untilNs = kernel.nowNs + lasts;
      kernel.runsUntilNs = untilNs > kernel.runsUntilNs ? untilNs : kernel.runsUntilNs;
      runs.push({ file: describe(kernel, -1), pid: 1, tsNs: kernel.nowNs, content: kernel.content, untilNs });
    },
    read: (careful, lasts) => {
      if (careful) kernel.isQueried = true;
      const [before, startedNs, content, endNs] = [
        describe(kernel, 0),
        kernel.nowNs,
        kernel.content,
        kernel.nowNs + lasts,
      ];
      // The bytes are read at once, the second look comes later: whatever happens between the two must show, or not matter.
      open.push((now) => {
        if (now.nowNs < endNs) return false;
        const reading = {
          source: 'held',
          md5: undefined,
          sha1: undefined,
          failure: '',
          sha256: `${content}`,
          before,
          startedNs,
          openedBy: 2,
        } as const;
        reads.push({ ...reading, after: describe(now, 0), content, endNs: now.nowNs });
        return true;
      });
    },
  };
  for (const { pause: by, kind, careful, lasts } of events) {
    kernel.nowNs += by;
    act[kind]!(careful, lasts);
    for (const close of [...open]) if (close(kernel)) open.splice(open.indexOf(close), 1);
  }
  return { runs, reads };
}

test('no history makes a certain digest wrong', () => {
  const came: Record<string, number> = {};
  const property = fc.property(history, (told) => {
    const { runs, reads } = play(told);
    for (const run of runs) {
      for (const read of reads) {
        const { digest_strength, sha256 } = evidenceFrom(run, read, TICK_NS, () => run.untilNs > read.endNs);
        const word = `${digest_strength}${isCacheable(read, TICK_NS) ? ', cacheable' : ''}`;
        came[word] = (came[word] ?? 0) + 1;
        if (digest_strength === 'exact' || digest_strength === 'alive') assert.equal(sha256, `${run.content}`, word);
      }
    }
  });
  fc.assert(property, { numRuns: 20_000 });
  for (const word of ['exact, cacheable', 'alive', 'racy', 'metadata']) assert.ok(came[word]! > 100, word);
});
