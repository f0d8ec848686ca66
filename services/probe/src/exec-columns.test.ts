/** What the short way takes for certain, the rules take for certain: around every edge that decides between the two. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flagBit } from '@bintrail/schemas/flags.ts';
import fc from 'fast-check';
import { TMPFS_MAGIC } from './mounts.ts';
import type { Reading } from './reading.ts';
import { CHANGED, EXEC, execRecord, openPath, READ, READING, RUN, SECOND, TICK_NS } from './record-path.fixture.ts';

const EXT4 = 0xef53;
const FINE = flagBit('fine_ctime');
/** The first of these nine times out of ten. */
const often = <T>(usual: T, ...others: readonly T[]) =>
  fc.oneof({ arbitrary: fc.constant(usual), weight: 9 }, { arbitrary: fc.constantFrom(...others), weight: 1 });
const near = (...times: readonly bigint[]) =>
  fc.constantFrom(...times.flatMap((at) => [-1n, 0n, 1n].map((by) => at + by)));
const SETTLED = CHANGED + 2n * TICK_NS;
/** States and readings of one inode around everything that decides between `exact` and less. */
const anyFile = fc.record({
  dev: fc.constantFrom(8 << 20, 8 << 20, 7 << 20, 40),
  ...{ generation: fc.constantFrom(7, 7, 0), fs_magic: fc.constantFrom(EXT4, EXT4, EXT4, TMPFS_MAGIC) },
});
const anyReading = fc.record({
  startedNs: near(CHANGED, CHANGED + TICK_NS, SETTLED, READ),
  ...{ source: fc.constantFrom('held', 'exe', 'path'), failure: often<string>('', 'timeout') },
  ...{ flags: fc.constantFrom(0, FINE), writers: often(0, -1, 1), movedBy: often(0n, 1n) },
  isWhole: often(true, false),
});
const anyRun = fc.record({
  ts: near(CHANGED, CHANGED + TICK_NS, SETTLED, READ, READ + SECOND, RUN),
  ...{ flags: fc.constantFrom(0, FINE), writecount: often(-1, 0, 1), nlink: fc.nat(2) },
  ctime_ns: often(CHANGED, CHANGED - 1n, CHANGED + 1n),
});

test('whatever was read when, the short way is as sure as the long way', async (context) => {
  const came = { short: 0 };
  const property = fc.asyncProperty(
    anyFile,
    anyReading,
    fc.array(anyRun, { minLength: 1 }),
    async (file, read, runs) => {
      const { startedNs, source, failure, flags, writers, movedBy, isWhole } = read;
      const before = { ...EXEC, ...file, flags, writecount: writers };
      const after = isWhole ? { ...before, ctime_ns: before.ctime_ns + movedBy } : undefined;
      const sha256 = failure === '' ? READING.sha256 : '';
      const reading = { ...READING, startedNs, source, failure, sha256, before, after } as Reading;
      const [short, long] = [openPath(context, reading), openPath(context, reading)];
      const first = { ...file, pid: 7, ts: RUN };
      assert.deepEqual(await short.takeExecs(first), await long.takeLongWay(first));
      for (const run of runs) {
        const one = { ...file, ...run };
        const known = await short.takeKnown(execRecord(one));
        came.short += known.rows.length;
        assert.deepEqual(known.stay > 0 ? await short.take() : known.rows, await long.takeLongWay(one));
      }
    },
  );
  await fc.assert(property, { numRuns: 300 });
  assert.ok(came.short > 100, `only ${came.short} took the short way`);
});
