/**
 * The file a replay is played from: messages of one probe in the order in which it sent them, as byte strings of a CBOR
 * sequence (RFC 8742), zstd-compressed. `test/src/record` writes it.
 */
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { type Batch, decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { openReader, readBytes } from '@bintrail/schemas/cbor-reader.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import { bigAt, numberAt, textAt } from '@bintrail/schemas/row.ts';

/** An event of any type: numbers, bigints for 64 bits, latin1 strings; a digest is 32 characters or ''. */
export type AnyRow = Record<string, number | bigint | string>;

export function packRecording(messages: readonly Uint8Array[]): Uint8Array {
  const items = messages.flatMap((message) => [byteStringHead(message.length), message]);
  return zstdCompressSync(Buffer.concat(items));
}

/** Every message of a recording, decoded. Throws on a damaged file: it is part of this program. */
export function unpackRecording(file: Uint8Array): Batch[] {
  const reader = openReader(zstdDecompressSync(file));
  const batches: Batch[] = [];
  while (reader.at < reader.bytes.length) {
    const decoded = decodeBatch(readBytes(reader));
    if (!decoded.ok)
      throw new Error(`message ${batches.length} of the recording: ${decoded.reason}: ${decoded.detail}`);
    batches.push(decoded.batch);
  }
  return batches;
}

/** The rows of a message, as `encodeBatch` takes them. */
export function rowsOf(batch: Batch): AnyRow[] {
  return Array.from({ length: batch.rows }, (_, row) => {
    const values = EVENTS[batch.type].fields.map(({ name, kind }) => {
      if (kind === 'digest') return [name, digestBytes(batch, name, row)] as const;
      if (kind === 'text' || kind === 'bytes') return [name, textAt(batch, name, row)] as const;
      return [name, kind === 'u64' || kind === 'time' ? bigAt(batch, name, row) : numberAt(batch, name, row)] as const;
    });
    return Object.fromEntries(values);
  });
}

function digestBytes(batch: Batch, name: string, row: number): string {
  const column = batch.columns.get(name) as Uint8Array;
  const bytes = column.subarray(row * 32, (row + 1) * 32);
  return bytes.some((byte) => byte !== 0) ? Buffer.from(bytes).toString('latin1') : '';
}

/** RFC 8949 §3.1, major type 2 with a 32-bit length: not the shortest form, but a valid one. */
function byteStringHead(sizeBytes: number): Uint8Array {
  const head = Buffer.from([0x5a, 0, 0, 0, 0]);
  head.writeUInt32BE(sizeBytes, 1);
  return head;
}
