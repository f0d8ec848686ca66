/**
 * Hashes descriptors without blocking its thread: libuv's threads read (a disk may take its time, or never answer), the
 * caller's thread digests a chunk at a time and can look after other things in between.
 */
import { createHash, hash } from 'node:crypto';
import { read } from 'node:fs';
import type { DigestReason } from '@bintrail/schemas/digest-words.ts';
import { createMarkSearch, markedFamily } from './interpreter-marks.ts';
import type { Family } from './interpreters.ts';

/** What packages record beside SHA-256; computed on the way where a file may be a package's. */
export type Extra = 'md5' | 'sha1';

/** What is asked about the bytes beside SHA-256. */
export type Wanted = {
  readonly extras: readonly Extra[];
  /** Of a program: whether it is an interpreter. That takes as long as SHA-256 by instructions. */
  readonly isProgram: boolean;
};

/** `sha256` is 32 latin1 bytes, the others hex. */
export type HashAnswer = {
  readonly failure: DigestReason | '';
  readonly sha256: string;
  readonly md5: string | undefined;
  readonly sha1: string | undefined;
  /** What its own bytes say, where that was asked. */
  readonly interpreter: Family | undefined;
};

/** 0.2 ms of SHA-256 where the processor has instructions for it, under 1 ms elsewhere. */
export const CHUNK_BYTES = 256 * 1024;

const failed = (failure: DigestReason): HashAnswer => ({
  ...{ failure, sha256: '', md5: undefined, sha1: undefined, interpreter: undefined },
});

/** The digests of bytes that are all there. */
export function hashBytes(bytes: Uint8Array, { extras, isProgram }: Wanted): HashAnswer {
  const extra = (algorithm: Extra) => (extras.includes(algorithm) ? hash(algorithm, bytes, 'hex') : undefined);
  return {
    failure: '',
    sha256: hash('sha256', bytes, 'buffer').toString('latin1'),
    md5: extra('md5'),
    sha1: extra('sha1'),
    interpreter: isProgram ? markedFamily(bytes) : undefined,
  };
}

/**
 * Resolves when everything is read, or, with any answer, after the read under way when `isReleased` says that the
 * descriptor is not ours any more. `chunk` belongs to this reading until then. Never rejects: an I/O error is evidence.
 */
export function hashDescriptor(
  fd: number,
  sizeBytes: number,
  { extras, isProgram }: Wanted,
  chunk: Buffer,
  isReleased: () => boolean,
): Promise<HashAnswer> {
  const sha256 = createHash('sha256');
  const [md5, sha1] = (['md5', 'sha1'] as const).map((name) => (extras.includes(name) ? createHash(name) : undefined));
  const search = isProgram ? createMarkSearch() : undefined;
  const { promise, resolve } = Promise.withResolvers<HashAnswer>();
  const step = (at: number): void => {
    // One byte more than expected is asked for, so that a file that grew is noticed and an endless one ends.
    const asked = Math.min(chunk.length, sizeBytes + 1 - at);
    read(fd, chunk, 0, asked, at, (error, length) => {
      if (isReleased()) return resolve(failed('timeout'));
      if (error) return resolve(failed('unreadable'));
      const bytes = chunk.subarray(0, length);
      sha256.update(bytes);
      md5?.update(bytes);
      sha1?.update(bytes);
      search?.take(bytes);
      // A regular file gives less than asked for only at its end.
      if (length === asked && at + length <= sizeBytes) return step(at + length);
      if (at + length !== sizeBytes) return resolve(failed('changed'));
      const packaged = { md5: md5?.digest('hex'), sha1: sha1?.digest('hex') };
      resolve({ failure: '', sha256: sha256.digest('latin1'), ...packaged, interpreter: search?.family() });
    });
  };
  step(0);
  return promise;
}
