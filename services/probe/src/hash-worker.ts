/** Worker thread: hashes descriptors that the main thread holds open. Positions are explicit; nothing is shared. */
import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import type { HashAnswer, HashRequest } from './hasher.ts';

const CHUNK_BYTES = 1024 * 1024;
const chunk = Buffer.allocUnsafe(CHUNK_BYTES);

function hash({ id, fd, sizeBytes, wantMd5 }: HashRequest): HashAnswer {
  const sha256 = createHash('sha256');
  const md5 = wantMd5 ? createHash('md5') : undefined;
  let at = 0;
  // One byte more than expected is asked for, so that a file that grew is noticed and an endless one ends.
  while (at <= sizeBytes) {
    const length = readSync(fd, chunk, 0, Math.min(CHUNK_BYTES, sizeBytes + 1 - at), at);
    if (length === 0) break;
    const bytes = chunk.subarray(0, length);
    sha256.update(bytes);
    md5?.update(bytes);
    at += length;
  }
  if (at !== sizeBytes) return { id, failure: 'changed', sha256: '', md5: undefined };
  return { id, failure: '', sha256: sha256.digest('latin1'), md5: md5?.digest('hex') };
}

parentPort?.on('message', (request: HashRequest) => {
  try {
    parentPort?.postMessage(hash(request));
  } catch {
    // An I/O error of the file: the evidence says so, and nothing else depends on it.
    parentPort?.postMessage({ id: request.id, failure: 'unreadable', sha256: '', md5: undefined });
  }
});
