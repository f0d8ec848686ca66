import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import kafkajs from 'kafkajs';

const { CompressionCodecs, CompressionTypes } = kafkajs;
const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** Level 1: batches of columns shrink to 34 B an event, and a higher level gains a few per cent for twice the time. */
const OPTIONS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
/** A batch that unpacks to more than this is no batch of ours, whose limit is 4 MiB packed. */
const UNPACKED_MAX_BYTES = 256 * 1024 * 1024;

/** kafkajs names zstd and brings no codec for it. Other clients read what this writes: it is a plain zstd frame. */
export function registerZstd(): void {
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: ({ buffer }: { buffer: Buffer }) => compress(buffer, OPTIONS),
    decompress: (packed: Buffer) => decompress(packed, { maxOutputLength: UNPACKED_MAX_BYTES }),
  });
}
