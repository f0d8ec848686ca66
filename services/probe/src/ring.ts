/**
 * Reads a BPF ring buffer from JavaScript. Layout and protocol: kernel Documentation/bpf/ringbuf.rst. The consumer
 * position is one writable page; the producer position and the data, mapped twice in a row, follow read-only, so a
 * record that wraps is contiguous.
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

export type Ring = {
  /** Hands over every finished record; the view is valid only during the call. Returns how many there were. */
  readonly drain: (onRecord: (record: DataView) => void, limit: number) => number;
  /** Bytes produced and not yet consumed. */
  readonly backlogBytes: () => number;
  readonly close: () => void;
};

// include/uapi/linux/bpf.h: BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT, BPF_RINGBUF_HDR_SZ
const BUSY = 0x8000_0000;
const DISCARD = 0x4000_0000;
const LENGTH_MASK = 0x3fff_ffff;
const HEADER_BYTES = 8;

/** Maps the ring of this map descriptor. `sizeBytes` is its max_entries: a power of two of whole pages. */
export function openRing(libc: Libc, mapFd: number, sizeBytes: number, pageBytes = 4096): Ring {
  const consumer = map(libc, pageBytes, PROT_READ | PROT_WRITE, mapFd, 0);
  const producer = map(libc, pageBytes + 2 * sizeBytes, PROT_READ, mapFd, pageBytes);
  const consumerPosition = new BigUint64Array(viewMemory(consumer, 8));
  const memory = viewMemory(producer, pageBytes + 2 * sizeBytes);
  const producerPosition = new BigUint64Array(memory, 0, 1);
  const headers = new Uint32Array(memory, pageBytes);
  const mask = sizeBytes - 1;

  const drain = (onRecord: (record: DataView) => void, limit: number): number => {
    let at = Number(Atomics.load(consumerPosition, 0));
    let count = 0;
    while (count < limit && at < Number(Atomics.load(producerPosition, 0))) {
      const offset = at & mask;
      const header = Atomics.load(headers, offset / 4);
      if (header & BUSY) break;
      const length = header & LENGTH_MASK;
      if (!(header & DISCARD)) {
        onRecord(new DataView(memory, pageBytes + offset + HEADER_BYTES, length));
        count += 1;
      }
      at += Math.ceil((length + HEADER_BYTES) / 8) * 8;
      Atomics.store(consumerPosition, 0, BigInt(at));
    }
    return count;
  };
  const close = () => {
    libc.munmap(consumer, pageBytes);
    libc.munmap(producer, pageBytes + 2 * sizeBytes);
  };
  return { drain, backlogBytes: () => Number(producerPosition[0]! - consumerPosition[0]!), close };
}

function map(libc: Libc, sizeBytes: number, protection: number, fd: number, offset: number): Pointer {
  const pointer = libc.mmap(0n, sizeBytes, protection, MAP_SHARED, fd, offset) as Pointer;
  if (isMapFailed(pointer)) throw new Error(`mmap of the ring failed: errno ${lastErrno()}`);
  return pointer;
}
