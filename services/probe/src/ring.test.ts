import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyBuffer, openRecordBuffer, type RecordBuffer } from './record-buffer.ts';
import { drainRing, type RingPages } from './ring.ts';

const SIZE_BYTES = 4_096;
const [BUSY, DISCARDED] = [0x8000_0000, 0x4000_0000];

/** A ring in memory, and who writes to it. */
function openMemory(position: number) {
  const data = new Uint8Array(SIZE_BYTES);
  const words = new Uint32Array(data.buffer);
  const pages: RingPages = {
    ...{ consumerPosition: BigUint64Array.of(BigInt(position)), producerPosition: BigUint64Array.of(BigInt(position)) },
    ...{ data, sizeBytes: SIZE_BYTES },
  };
  let at = position;
  const produce = (fill: number, length: number, flags = 0): number => {
    const offset = at % SIZE_BYTES;
    for (let index = 0; index < length; index++) data[(offset + 8 + index) % SIZE_BYTES] = fill;
    setHeader(offset, length, flags);
    at += Math.ceil((length + 8) / 8) * 8;
    pages.producerPosition[0] = BigInt(at);
    return offset;
  };
  const setHeader = (offset: number, length: number, flags: number) => {
    words[offset / 4] = length | flags;
  };
  return { pages, produce, setHeader };
}

function contents(buffer: RecordBuffer): [number, number][] {
  const records = Array.from({ length: buffer.count }, (_, index): [number, number] => {
    const bytes = buffer.bytes.subarray(buffer.starts[index]!, buffer.starts[index]! + buffer.lengths[index]!);
    assert.ok(bytes.every((byte) => byte === bytes[0]));
    assert.equal(buffer.starts[index]! % 8, 0);
    return [bytes[0]!, bytes.length];
  });
  emptyBuffer(buffer);
  return records;
}

test('records come in order, whole, also over the end of the ring', () => {
  const { pages, produce } = openMemory(SIZE_BYTES - 64);
  const buffer = openRecordBuffer(16, SIZE_BYTES);
  produce(1, 24);
  produce(2, 100);
  produce(3, 7);
  drainRing(pages, buffer);
  const expected = [
    [1, 24],
    [2, 100],
    [3, 7],
  ];
  assert.deepEqual(contents(buffer), expected);
  assert.equal(pages.consumerPosition[0], pages.producerPosition[0]);
  assert.equal(drainRing(pages, buffer), 0);
});

test('a record being written ends the round, one taken back is left out', () => {
  const { pages, produce, setHeader } = openMemory(0);
  const buffer = openRecordBuffer(16, SIZE_BYTES);
  produce(1, 16);
  produce(2, 16, DISCARDED);
  const offset = produce(3, 16, BUSY);
  produce(4, 16);
  drainRing(pages, buffer);
  assert.deepEqual(contents(buffer), [[1, 16]]);
  assert.equal(drainRing(pages, buffer), 0);
  setHeader(offset, 16, 0);
  drainRing(pages, buffer);
  assert.deepEqual(contents(buffer), [
    [3, 16],
    [4, 16],
  ]);
});

for (const [what, maxRecords, maxBytes] of [
  ['records', 2, SIZE_BYTES],
  ['bytes', 16, 64],
] as const) {
  test(`what does not fit the buffer for its ${what} stays in the ring`, () => {
    const { pages, produce } = openMemory(0);
    const buffer = openRecordBuffer(maxRecords, maxBytes);
    for (const fill of [1, 2, 3]) produce(fill, 24);
    drainRing(pages, buffer);
    assert.deepEqual(
      contents(buffer).map(([fill]) => fill),
      [1, 2],
    );
    drainRing(pages, buffer);
    assert.deepEqual(contents(buffer), [[3, 24]]);
  });
}

test('a buffer that still holds records is added to', () => {
  const { pages, produce } = openMemory(0);
  const buffer = openRecordBuffer(16, SIZE_BYTES);
  produce(1, 9);
  drainRing(pages, buffer);
  produce(2, 24);
  drainRing(pages, buffer);
  assert.deepEqual(contents(buffer), [
    [1, 9],
    [2, 24],
  ]);
});
