import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDigestPipeline } from './digest-pipeline.ts';
import type { FileState } from './file-identity.ts';
import { TMPFS_MAGIC } from './mounts.ts';

const TICK_NS = 4_000_000n;
const CHANGED_NS = 1_000_000_000_000n;
const PID = 77;
/** Of the largest storm that is tried. The reader is done with it before the loop has taken a third of its execs. */
const EXECS = 50_000;

/** Programs on tmpfs, each in a file of its own: no reading of one may be cached. */
const programs = Array.from(
  { length: EXECS },
  (_, which): FileState => ({
    ...{ dev: 27, generation: 7, ino: BigInt(which), ctime_ns: CHANGED_NS, mtime_ns: CHANGED_NS, size: 100n },
    ...{ nlink: 0, writecount: 0, fs_magic: TMPFS_MAGIC, flags: 0 },
  }),
);

test('the reader may be a whole storm ahead: its readings answer when the execs come', () => {
  const pipeline = createDigestPipeline({
    ...{ tickNs: TICK_NS, describe: () => undefined, openNamed: () => undefined },
    nowNs: () => CHANGED_NS,
    read: () => assert.fail('nothing is read again'),
  });
  for (const [id, state] of programs.entries()) {
    pipeline.tell({ kind: 'begun', id, state, openedBy: PID });
    const reading = {
      ...{
        source: 'held' as const,
        before: state,
        after: state,
        startedNs: CHANGED_NS,
        openedBy: PID,
        failure: '' as const,
      },
      ...{ sha256: String(id).padStart(32), md5: undefined, sha1: undefined },
    };
    pipeline.tell({ kind: 'read', id, reading, interpreter: undefined });
  }
  const answered = programs.filter((file, id) => Number(pipeline.known(file, PID)?.sha256) === id);
  assert.equal(answered.length, EXECS);
});
