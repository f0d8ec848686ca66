import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flagBit } from '@bintrail/schemas/flags.ts';
import type { FileState } from './file-identity.ts';
import { evidenceFrom, isCacheable, isSettled, type Reading } from './reading.ts';

const TICK_NS = 4_000_000n;
const CHANGED_NS = 1_000_000_000_000n;
const PID = 77;
const LONG_AFTER_NS = CHANGED_NS + 10n * TICK_NS;

const running: FileState = {
  ...{ dev: 0x800001, generation: 7, ino: 42n, ctime_ns: CHANGED_NS, mtime_ns: CHANGED_NS, size: 100n },
  ...{ nlink: 1, writecount: -1, fs_magic: 0xef53, flags: 0 },
};
const idle: FileState = { ...running, writecount: 0 };

function readingOf(change: Partial<Reading> = {}): Reading {
  return {
    ...{
      source: 'held',
      before: idle,
      after: idle,
      startedNs: LONG_AFTER_NS,
      openedBy: PID,
      sha256: 'd'.repeat(32),
      md5: undefined,
      sha1: undefined,
    },
    failure: '',
    ...change,
  };
}

function strengthOf(file: FileState, tsNs: bigint, reading: Reading, runs = false): string {
  const evidence = evidenceFrom({ file, tsNs, pid: PID }, reading, TICK_NS, () => runs);
  assert.equal(evidence.sha256 === '', evidence.digest_reason !== '', 'a digest or a reason, never both');
  return evidence.digest_strength || evidence.digest_reason;
}

test('an unchanged file, changed last long before its exec, is exact', () => {
  assert.equal(strengthOf(running, LONG_AFTER_NS, readingOf()), 'exact');
});

test('within two ticks of its last change an unchanged file is racy, unless it still runs', () => {
  assert.equal(strengthOf(running, CHANGED_NS + 2n * TICK_NS - 1n, readingOf()), 'racy');
  assert.equal(strengthOf(running, CHANGED_NS + 2n * TICK_NS - 1n, readingOf(), true), 'alive');
  assert.equal(strengthOf(running, CHANGED_NS + 2n * TICK_NS, readingOf()), 'exact');
});

test('a reading that began before the exec never shows that the file still runs as it was read', () => {
  const tsNs = CHANGED_NS + 1n;
  assert.equal(strengthOf(running, tsNs, readingOf({ startedNs: tsNs - 1n }), true), 'racy');
  assert.equal(strengthOf(running, tsNs, readingOf({ startedNs: tsNs }), true), 'alive');
  const moved = { ...idle, ctime_ns: CHANGED_NS + 5n };
  const before = readingOf({ before: moved, after: moved, startedNs: LONG_AFTER_NS - 1n });
  assert.equal(strengthOf(running, LONG_AFTER_NS, before, true), 'metadata');
});

test('what was read within the tick of its change is not exact for an exec that came later', () => {
  const early = readingOf({ startedNs: CHANGED_NS + TICK_NS });
  assert.equal(strengthOf(running, LONG_AFTER_NS, early), 'racy', 'it may have been written once more in that tick');
  const fine = { ...idle, flags: flagBit('fine_ctime') };
  const queried = readingOf({ before: fine, after: fine, startedNs: CHANGED_NS + TICK_NS });
  assert.equal(strengthOf(running, LONG_AFTER_NS, queried), 'exact');
});

test('a ctime that was queried before the exec makes later changes visible on multigrain filesystems', () => {
  assert.equal(strengthOf({ ...running, flags: flagBit('fine_ctime') }, CHANGED_NS, readingOf()), 'exact');
});

test('a clock that stood before the last change proves nothing', () => {
  assert.equal(strengthOf(running, CHANGED_NS - 1n, readingOf()), 'racy');
});

test('when only ctime or links moved the digest is weak, unless it still runs', () => {
  const unlinked = { ...idle, ctime_ns: CHANGED_NS + 1n, nlink: 0 };
  const reading = readingOf({ before: unlinked, after: unlinked });
  assert.equal(strengthOf(running, LONG_AFTER_NS, reading), 'metadata');
  assert.equal(strengthOf(running, LONG_AFTER_NS, reading, true), 'alive');
  assert.equal(strengthOf(running, LONG_AFTER_NS, readingOf({ after: unlinked })), 'metadata');
});

test('other size, mtime or generation is other content: no digest', () => {
  for (const change of [{ size: 101n }, { mtime_ns: CHANGED_NS + 1n }, { generation: 8 }, { ino: 43n }, { dev: 1 }]) {
    const other = { ...idle, ...change };
    assert.equal(strengthOf(running, LONG_AFTER_NS, readingOf({ before: other, after: other }), true), 'changed');
    assert.equal(strengthOf(running, LONG_AFTER_NS, readingOf({ after: other }), true), 'changed');
  }
});

test('a file that can be written while it is read is writable, whatever else holds', () => {
  const open = { ...idle, writecount: 1 };
  assert.equal(strengthOf(running, LONG_AFTER_NS, readingOf({ before: open }), true), 'writable');
  assert.equal(strengthOf(running, LONG_AFTER_NS, readingOf({ after: open }), true), 'writable');
});

test('a failed reading gives its reason', () => {
  assert.equal(strengthOf(running, LONG_AFTER_NS, readingOf({ failure: 'too_large', sha256: '' })), 'too_large');
});

test('only readings that can answer for a later exec are cached', () => {
  assert.equal(isCacheable(readingOf(), TICK_NS), true);
  assert.equal(isCacheable(readingOf({ startedNs: CHANGED_NS + TICK_NS }), TICK_NS), false, 'read within the tick');
  assert.equal(isCacheable(readingOf({ after: { ...idle, ctime_ns: CHANGED_NS + 1n } }), TICK_NS), false, 'moved');
  assert.equal(isCacheable(readingOf({ after: { ...idle, writecount: 1 } }), TICK_NS), false, 'writable');
  assert.equal(isCacheable(readingOf({ failure: 'changed' }), TICK_NS), false, 'failed');
  const anonymous = { ...idle, dev: 40, generation: 0 };
  assert.equal(isCacheable(readingOf({ before: anonymous, after: anonymous }), TICK_NS), false, 'reused device number');
  assert.equal(
    isCacheable(
      readingOf({ before: { ...anonymous, generation: 5 }, after: { ...anonymous, generation: 5 } }),
      TICK_NS,
    ),
    true,
  );
  const loop = { ...idle, dev: 7 << 20 };
  assert.equal(isCacheable(readingOf({ before: loop, after: loop }), TICK_NS), false, 'an image can be changed');
});

test('on tmpfs, where writes may leave no trace, only a program that still runs is sure', () => {
  for (const flags of [0, flagBit('fine_ctime')]) {
    const onTmpfs = { fs_magic: 0x01021994, flags };
    const reading = readingOf({ before: { ...idle, ...onTmpfs }, after: { ...idle, ...onTmpfs } });
    assert.equal(strengthOf({ ...running, ...onTmpfs }, LONG_AFTER_NS, reading), 'racy');
    assert.equal(strengthOf({ ...running, ...onTmpfs }, LONG_AFTER_NS, reading, true), 'alive');
    assert.equal(isCacheable(reading, TICK_NS), false);
  }
});

test('under a device number that is used again only the reading of the very process is exact, and not for long', () => {
  const second = 1_000_000_000n;
  for (const device of [
    { dev: 7 << 20, generation: 0 },
    { dev: 7 << 20, generation: 3 },
    { dev: 40, generation: 0 },
  ]) {
    const [exec, file] = [
      { ...running, ...device },
      { ...idle, ...device },
    ];
    const reading = readingOf({ before: file, after: file });
    assert.equal(
      strengthOf(exec, LONG_AFTER_NS + 2n * second - 1n, reading),
      'exact',
      'the reading for this very exec',
    );
    assert.equal(strengthOf(exec, LONG_AFTER_NS + 2n * second, reading), 'vanished');
    const byAnother = { ...reading, openedBy: PID + 1 };
    assert.equal(strengthOf(exec, LONG_AFTER_NS, byAnother), 'vanished', 'perhaps of another filesystem');
  }
  const anonymous = { dev: 40, generation: 3 };
  const reading = readingOf({ before: { ...idle, ...anonymous }, after: { ...idle, ...anonymous }, openedBy: 1 });
  assert.equal(strengthOf({ ...running, ...anonymous }, LONG_AFTER_NS + second, reading), 'exact');
});

test('a running program proves nothing where the kernel did not deny writing to it', () => {
  const tsNs = CHANGED_NS + 1n;
  assert.equal(strengthOf({ ...running, writecount: 0 }, tsNs, readingOf(), true), 'racy');
});

test('the tick under way may have begun late: one tick is not enough', () => {
  assert.equal(isSettled(idle, CHANGED_NS + TICK_NS, TICK_NS), false);
  assert.equal(isSettled(idle, CHANGED_NS + 2n * TICK_NS, TICK_NS), true);
});
