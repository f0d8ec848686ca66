import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FileState } from './file-identity.ts';
import { createReadingQueue } from './reading-queue.ts';

const [ROOT, OTHER] = [8 << 20, 9 << 20];

function file(name: number, dev = ROOT, size = 100n): { state: FileState } {
  const times = { ctime_ns: 1n, mtime_ns: 1n, generation: 0 };
  return { state: { ...times, dev, ino: BigInt(name), size, nlink: 1, writecount: 0, fs_magic: 0xef53, flags: 0 } };
}

/** All that may be read, one after the other. */
function drain(queue: ReturnType<typeof createReadingQueue>): bigint[] {
  const order: bigint[] = [];
  for (let job = queue.next(); job !== undefined; job = queue.next()) {
    order.push(job.state.ino);
    queue.done(job);
  }
  return order;
}

test('other filesystems come first, then what was never read, then what was', () => {
  const queue = createReadingQueue({ rootDev: ROOT, maxBytesPerS: undefined });
  queue.wasRead(file(1).state);
  for (const job of [file(1), file(2), file(3, OTHER)]) queue.add(job);
  assert.deepEqual(
    queue.oldest().map(({ state }) => state.ino),
    [3n, 2n, 1n],
  );
  assert.deepEqual(drain(queue), [3n, 2n, 1n]);
  assert.deepEqual(queue.oldest(), []);
});

test('a file that changed was never read', () => {
  const queue = createReadingQueue({ rootDev: ROOT, maxBytesPerS: undefined });
  queue.wasRead(file(1).state);
  queue.wasRead(file(2).state);
  for (const job of [file(1), file(2, ROOT, 101n)]) queue.add(job);
  assert.deepEqual(drain(queue), [2n, 1n]);
});

test('a filesystem that hangs takes two readers, all together four', () => {
  const queue = createReadingQueue({ rootDev: ROOT, maxBytesPerS: undefined });
  for (let name = 0; name < 4; name++) for (const dev of [OTHER, ROOT, 7]) queue.add(file(name, dev));
  const taken = Array.from({ length: 5 }, () => queue.next()?.state.dev);
  assert.deepEqual(taken, [OTHER, 7, OTHER, 7, undefined]);
});

test('a rate bounds what is read, and a large file is paid for afterwards', (context) => {
  let nowMs = 5_000;
  context.mock.method(performance, 'now', () => nowMs);
  const queue = createReadingQueue({ rootDev: ROOT, maxBytesPerS: 100 });
  for (let name = 0; name < 4; name++) queue.add(file(name, ROOT, 250n));
  assert.deepEqual(drain(queue), [0n]);
  assert.equal(queue.mayRead(), false);
  nowMs += 1_500;
  assert.deepEqual(drain(queue), []);
  nowMs += 1;
  assert.deepEqual(drain(queue), [1n], '150 of debt are paid');
  nowMs += 60_000;
  assert.ok(queue.mayRead());
  queue.spend(100);
  assert.deepEqual(drain(queue), [], 'what was not used is not saved up');
});
