import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createSync } from './sqlite-sync.ts';

/** A disk whose syncs end when the test says so. */
function disk() {
  const syncs: { fd: number; end: (error?: Error) => void }[] = [];
  const durable = createSync(
    9,
    (fd) => new Promise((resolve, reject) => syncs.push({ fd, end: (error) => (error ? reject(error) : resolve()) })),
  );
  const done: string[] = [];
  const call = (name: string) =>
    void durable().then(
      () => done.push(name),
      () => done.push(`${name} failed`),
    );
  return { syncs, done, call };
}

test('what was written after a sync began waits for the next one, shared by all who came meanwhile', async () => {
  const { syncs, done, call } = disk();
  call('a');
  assert.equal(syncs.length, 1);
  assert.equal(syncs[0]!.fd, 9);
  call('b');
  call('c');
  assert.equal(syncs.length, 1);
  syncs[0]!.end();
  await turn();
  assert.deepEqual(done, ['a']);
  assert.equal(syncs.length, 2);
  call('d');
  syncs[1]!.end();
  await turn();
  assert.deepEqual(done, ['a', 'b', 'c']);
  syncs[2]!.end();
  await turn();
  assert.deepEqual(done, ['a', 'b', 'c', 'd']);
  call('e');
  assert.equal(syncs.length, 4);
});

test('a failed sync fails those who waited for it and nobody else', async () => {
  const { syncs, done, call } = disk();
  call('a');
  call('b');
  syncs[0]!.end(new Error('EIO'));
  await turn();
  assert.deepEqual(done, ['a failed']);
  syncs[1]!.end();
  await turn();
  assert.deepEqual(done, ['a failed', 'b']);
});
