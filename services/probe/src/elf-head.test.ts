import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { seededRandom } from '@bintrail/schemas/mutation.fixture.ts';
import { damagedHead } from './elf-head.fixture.ts';
import { isNativeHead, readHead, readOwnHead } from './elf-head.ts';

/** By hand more, or others: BINTRAIL_FUZZ=1000000 BINTRAIL_SEED=7 node --test services/probe/src/elf-head.test.ts */
const INPUTS = Number(process.env.BINTRAIL_FUZZ ?? 20_000);
const SEED = Number(process.env.BINTRAIL_SEED ?? 20_261_129);
const skip = process.platform === 'linux' ? false : 'needs Linux';
const folder = mkdtempSync(join(tmpdir(), 'bintrail-elf-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const HEAD_BYTES = 20;

test(`${INPUTS} damaged heads of seed ${SEED} are read as they are, and told by magic, type and machine alone`, {
  skip,
}, () => {
  const own = readOwnHead();
  const fd = openSync(join(folder, 'head'), 'w+');
  const counts = { native: 0, other: 0 };
  for (let number = 0; number < INPUTS; number++) {
    const bytes = damagedHead(own, seededRandom(Math.imul(SEED + number, 0x9e37_79b1)));
    ftruncateSync(fd, bytes.length);
    writeSync(fd, bytes, 0, bytes.length, 0);
    const head = readHead(fd);
    assert.deepEqual(Buffer.from(head), bytes.subarray(0, HEAD_BYTES), bytes.toString('hex'));
    const isNative = isNativeHead(head, own);
    const expected =
      head.length === HEAD_BYTES &&
      bytes.readUInt32BE(0) === 0x7f45_4c46 &&
      [2, 3].includes(bytes.readUInt16LE(16)) &&
      bytes.readUInt16LE(18) === Buffer.from(own).readUInt16LE(18);
    assert.equal(isNative, expected, bytes.toString('hex'));
    counts[isNative ? 'native' : 'other'] += 1;
  }
  closeSync(fd);
  assert.ok(counts.native > INPUTS / 100 && counts.other > INPUTS / 100, JSON.stringify(counts));
});

test('what cannot be read is no program', { skip }, () => {
  const fd = openSync(folder, 'r');
  assert.equal(readHead(fd).length, 0);
  closeSync(fd);
  assert.equal(isNativeHead(new Uint8Array(), readOwnHead()), false);
});
