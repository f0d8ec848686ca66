import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createMarkSearch, markedFamily } from './interpreter-marks.ts';

const HERE = [
  ['/bin/bash', 'shell'],
  ['/usr/bin/python3', 'python'],
  ['/usr/bin/perl', 'perl'],
  ['/bin/busybox', 'busybox'],
  [process.execPath, 'node'],
] as const;

function inParts(bytes: Buffer, sizeOf: (at: number) => number) {
  const search = createMarkSearch();
  // As when a file is read: always into the same memory.
  const chunk = Buffer.alloc(1 << 20);
  for (let at = 0; at < bytes.length; at += sizeOf(at)) {
    search.take(chunk.subarray(0, bytes.copy(chunk, 0, at, at + sizeOf(at))));
  }
  return search.family();
}

for (const [path, family] of HERE) {
  test(`${path} says that it is of the family ${family}`, { skip: !existsSync(path) && `needs ${path}` }, () => {
    const bytes = readFileSync(path);
    assert.equal(markedFamily(bytes), family);
    assert.equal(
      inParts(bytes, () => 1 << 18),
      family,
    );
  });
}

test('a mark is found wherever the parts are cut', () => {
  const bytes = Buffer.concat([
    Buffer.from('\x7fELF'),
    Buffer.alloc(200),
    Buffer.from('Py_BytesMain'),
    Buffer.alloc(200),
  ]);
  for (let first = 100; first < 300; first++) {
    assert.equal(
      inParts(bytes, (at) => (at === 0 ? first : 100)),
      'python',
      `cut at ${first}`,
    );
  }
});

test('other programs are none, nor is a text that holds a mark', () => {
  for (const path of ['/bin/cat', '/bin/sh', '/usr/bin/env']) {
    if (existsSync(path)) assert.equal(markedFamily(readFileSync(path)), undefined, path);
  }
  const text = Buffer.from('#!/bin/sh\n# Py_BytesMain\n');
  for (const family of [markedFamily(text), inParts(text, () => 100)]) assert.equal(family, undefined);
  assert.equal(markedFamily(Buffer.alloc(0)), undefined);
});

test('what was made of Node.js and has a program of its own is no interpreter', () => {
  const made = Buffer.from('\x7fELF NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:1');
  assert.equal(markedFamily(made), undefined);
});
