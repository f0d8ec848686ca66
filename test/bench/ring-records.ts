/** A ring in memory, as the kernel leaves it. */
import type { RingPages } from '@bintrail/probe/ring.ts';

/** A ring that holds these records, as the kernel leaves it: 8 bytes of head, then the record, 8-byte aligned. */
export function ringOf(records: readonly Buffer[]): RingPages {
  const takes = (record: Buffer) => Math.ceil((record.length + HEAD_BYTES) / 8) * 8;
  const usedBytes = records.reduce((sum, record) => sum + takes(record), 0);
  const sizeBytes = 2 ** Math.ceil(Math.log2(usedBytes + 1));
  const data = Buffer.alloc(sizeBytes);
  let at = 0;
  for (const record of records) {
    data.writeUInt32LE(record.length, at);
    record.copy(data, at + HEAD_BYTES);
    at += takes(record);
  }
  const producerPosition = BigUint64Array.of(BigInt(usedBytes));
  return { consumerPosition: BigUint64Array.of(0n), producerPosition, data, sizeBytes };
}

/** BPF_RINGBUF_HDR_SZ, include/uapi/linux/bpf.h: a length with two flags, both clear once the record is finished. */
const HEAD_BYTES = 8;
