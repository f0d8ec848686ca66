import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createImageTable, type Image } from './image-table.ts';

const image = (path: string) => ({ program: { path }, place: { workload: path } }) as unknown as Image;
const id = (pid: number, start_ns = 1n << 40n, self_exec_id = 1) => ({ pid, start_ns, self_exec_id });

test('an image is found by all of its identity', () => {
  const images = createImageTable(4);
  images.remember(id(1), image('a'));
  images.remember(id(1, (1n << 40n) + 1n), image('b'));
  images.remember(id(1, 1n << 41n), image('c'));
  images.remember(id(1, 1n << 40n, 2), image('d'));
  assert.equal(images.find(id(1))?.program.path, 'a');
  assert.equal(images.find(id(1, (1n << 40n) + 1n))?.program.path, 'b');
  assert.equal(images.find(id(1, 1n << 41n))?.program.path, 'c');
  assert.equal(images.find(id(1, 1n << 40n, 2))?.program.path, 'd');
  assert.equal(images.find(id(2)), undefined);
});

test('a full table forgets what nobody asked for, and keeps a parent that is asked for', () => {
  const images = createImageTable(256);
  images.remember(id(0), image('parent'));
  for (let pid = 1; pid < 10_000; pid++) {
    assert.equal(images.find(id(0))?.program.path, 'parent', `after ${pid}`);
    images.remember(id(pid), image(`${pid}`));
    assert.equal(images.find(id(pid - 255))?.program.path ?? `${pid - 255}`, pid === 255 ? 'parent' : `${pid - 255}`);
  }
  const found = Array.from({ length: 10_000 }, (_, pid) => images.find(id(pid))).filter((one) => one !== undefined);
  assert.equal(found.length, 256);
});

test('an image remembered again is replaced', () => {
  const images = createImageTable(2);
  for (const path of ['a', 'b', 'c']) images.remember(id(1), image(path));
  images.remember(id(2), image('other'));
  assert.equal(images.find(id(1))?.program.path, 'c');
  assert.equal(images.find(id(2))?.place.workload, 'other');
});
