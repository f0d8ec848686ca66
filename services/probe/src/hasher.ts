import { Worker } from 'node:worker_threads';
import type { DigestReason } from '@bintrail/schemas/digest-words.ts';

export type HashRequest = {
  readonly id: number;
  readonly fd: number;
  readonly sizeBytes: number;
  readonly wantMd5: boolean;
};

/** `sha256` is 32 latin1 bytes, `md5` hex. */
export type HashAnswer = {
  readonly id: number;
  readonly failure: DigestReason | '';
  readonly sha256: string;
  readonly md5: string | undefined;
};

export type Hasher = {
  /** Hashes an open descriptor of this size, off the event loop. It must stay open until the promise settles. */
  readonly hash: (fd: number, sizeBytes: number, wantMd5: boolean) => Promise<HashAnswer>;
  readonly waiting: () => number;
  readonly close: () => Promise<void>;
};

/** A pool of hashing threads. A thread that dies is a bug and ends the process through the rejected promise. */
export function startHasher(threads: number): Hasher {
  const pending = new Map<number, { resolve: (answer: HashAnswer) => void; reject: (error: unknown) => void }>();
  let nextId = 0;
  const workers = Array.from({ length: threads }, () => {
    const worker = new Worker(new URL('./hash-worker.ts', import.meta.url));
    worker.on('message', (answer: HashAnswer) => {
      pending.get(answer.id)?.resolve(answer);
      pending.delete(answer.id);
    });
    worker.on('error', (error) => {
      for (const { reject } of pending.values()) reject(error);
    });
    return worker;
  });
  const hash = (fd: number, sizeBytes: number, wantMd5: boolean) =>
    new Promise<HashAnswer>((resolve, reject) => {
      const request: HashRequest = { id: nextId++, fd, sizeBytes, wantMd5 };
      pending.set(request.id, { resolve, reject });
      workers[request.id % threads]!.postMessage(request);
    });
  const close = async () => {
    await Promise.all(workers.map((worker) => worker.terminate()));
  };
  return { hash, waiting: () => pending.size, close };
}
