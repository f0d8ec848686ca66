/**
 * Reads a BPF ring buffer from JavaScript. Layout and protocol: kernel Documentation/bpf/ringbuf.rst. The consumer
 * position is one writable page; the producer position and the data follow read-only. The data could be had twice in a
 * row, so that what wraps is contiguous, but then every page of it counts twice as memory of this process.
 */
import {
  isMapFailed,
  type Libc,
  lastErrno,
  MAP_SHARED,
  type Pointer,
  PROT_READ,
  PROT_WRITE,
  viewMemory,
} from './ffi.ts';
import type { RecordBuffer } from './record-buffer.ts';

export type Ring = {
  /** Moves finished records into the buffer until it is full or none is left. */
  readonly drain: (into: RecordBuffer) => void;
  /** Bytes produced and not yet consumed. */
  readonly backlogBytes: () => number;
  /** Whether it is hardly filled: what waits then may wait for a while. */
  readonly hasRoom: () => boolean;
  readonly close: () => void;
};

// include/uapi/linux/bpf.h: BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT, BPF_RINGBUF_HDR_SZ
const BUSY = 0x8000_0000;
const DISCARD = 0x4000_0000;
const LENGTH_MASK = 0x3fff_ffff;
const HEADER_BYTES = 8;
/** Some thousand execs: of the smallest ring a quarter. */
const ROOM_BYTES = 2 * 1024 * 1024;

/** Maps the ring of this map descriptor. `sizeBytes` is its max_entries: a power of two of whole pages. */
export function openRing(libc: Libc, mapFd: number, sizeBytes: number, pageBytes = 4096): Ring {
  const consumer = map(libc, pageBytes, PROT_READ | PROT_WRITE, mapFd, 0);
  const producer = map(libc, pageBytes + sizeBytes, PROT_READ, mapFd, pageBytes);
  const memory = viewMemory(producer, pageBytes + sizeBytes);
  const pages: RingPages = {
    consumerPosition: new BigUint64Array(viewMemory(consumer, 8)),
    producerPosition: new BigUint64Array(memory, 0, 1),
    data: new Uint8Array(memory, pageBytes),
    sizeBytes,
  };
  const close = () => {
    libc.munmap(consumer, pageBytes);
    libc.munmap(producer, pageBytes + sizeBytes);
  };
  const { consumerPosition, producerPosition } = pages;
  const backlogBytes = () => Number(producerPosition[0]! - consumerPosition[0]!);
  const drain = (into: RecordBuffer) => {
    // Once more after the consumer's position has moved: for what came before that the kernel rings no bell.
    while (drainRing(pages, into) > 0);
  };
  return { drain, backlogBytes, hasRoom: () => backlogBytes() < ROOM_BYTES, close };
}

/** A ring's memory; `data` is `sizeBytes` long. */
export type RingPages = {
  readonly consumerPosition: BigUint64Array<ArrayBuffer>;
  readonly producerPosition: BigUint64Array<ArrayBuffer>;
  readonly data: Uint8Array;
  readonly sizeBytes: number;
};

/**
 * Copies the stretch of finished records at once: they lie one behind the other, here and there. Returns the bytes by
 * which the consumer's position moved.
 */
export function drainRing(pages: RingPages, into: RecordBuffer): number {
  const { consumerPosition, producerPosition, data, sizeBytes } = pages;
  const headers = new Uint32Array(data.buffer, data.byteOffset, data.byteLength / 4);
  const position = Number(Atomics.load(consumerPosition, 0));
  const produced = Number(Atomics.load(producerPosition, 0)) - position;
  const from = position & (sizeBytes - 1);
  const room = into.bytes.length - into.usedBytes;
  let taken = 0;
  while (taken < produced && into.count < into.starts.length) {
    const header = Atomics.load(headers, ((from + taken) & (sizeBytes - 1)) / 4);
    if (header & BUSY) break;
    const length = header & LENGTH_MASK;
    const end = taken + Math.ceil((length + HEADER_BYTES) / 8) * 8;
    if (end > room) break;
    if (!(header & DISCARD)) {
      into.starts[into.count] = into.usedBytes + taken + HEADER_BYTES;
      into.lengths[into.count] = length;
      into.count += 1;
    }
    taken = end;
  }
  const toEnd = Math.min(taken, sizeBytes - from);
  into.bytes.set(data.subarray(from, from + toEnd), into.usedBytes);
  into.bytes.set(data.subarray(0, taken - toEnd), into.usedBytes + toEnd);
  into.usedBytes += taken;
  Atomics.store(consumerPosition, 0, BigInt(position + taken));
  return taken;
}

function map(libc: Libc, sizeBytes: number, protection: number, fd: number, offset: number): Pointer {
  const pointer = libc.mmap(0n, sizeBytes, protection, MAP_SHARED, fd, offset) as Pointer;
  if (isMapFailed(pointer)) throw new Error(`mmap of the ring failed: errno ${lastErrno()}`);
  return pointer;
}
