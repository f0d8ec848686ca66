import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ABSENT, sameStamp, stampOf } from './file-stamps.ts';

const folder = mkdtempSync(join(tmpdir(), 'stamps-'));
const fd = openSync(folder, 'r');
after(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

test('a file changed within the last ticks equals nothing, not even itself', () => {
  writeFileSync(join(folder, 'f'), 'x');
  const changedAtMs = statSync(join(folder, 'f')).ctimeMs;
  const now = stampOf(fd, 'f', changedAtMs + 5);
  assert.equal(sameStamp(now, now), false);
  const later = stampOf(fd, 'f', changedAtMs + 1000);
  assert.equal(sameStamp(later, now), true);
  assert.equal(sameStamp(undefined, later), false);
});

test('size, times and identity make the stamp, and so does being absent', () => {
  const later = Date.now() + 60_000;
  const before = stampOf(fd, 'g', later);
  assert.deepEqual(before, ABSENT);
  assert.ok(sameStamp(before, stampOf(fd, 'g', later)));
  writeFileSync(join(folder, 'g'), 'x');
  const one = stampOf(fd, 'g', later);
  assert.equal(sameStamp(before, one), false);
  rmSync(join(folder, 'g'));
  writeFileSync(join(folder, 'g'), 'xy');
  assert.equal(sameStamp(one, stampOf(fd, 'g', later)), false);
  assert.equal(sameStamp(one, stampOf(fd, '', later)), false);
});
