import { fdatasync } from 'node:fs';
import { promisify } from 'node:util';

const toDisk = promisify(fdatasync);

/**
 * Returns `durable()`, which resolves once everything written to `fd` before the call has reached the disk.
 * Calls that meet a running sync share the next one, so many publishers cost few.
 */
export function createSync(fd: number, sync: (fd: number) => Promise<void> = toDisk): () => Promise<void> {
  let running: Promise<void> | undefined;
  let following: Promise<void> | undefined;
  const start = (): Promise<void> => {
    running = sync(fd).finally(() => {
      running = undefined;
    });
    return running;
  };
  const startNext = (): Promise<void> => {
    following = undefined;
    return start();
  };
  return () => {
    if (running === undefined) return start();
    following ??= running.then(startNext, startNext);
    return following;
  };
}
