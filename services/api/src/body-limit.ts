import { bodyLimit } from 'hono/body-limit';
import { Problem } from './problem.ts';

/** Largest request body. The biggest sensible one, an approval of 1,000 digests, has 70 kB. */
export const BODY_MAX_BYTES = 1 << 20;

/** Refuses a longer body: by its Content-Length before reading, without one as soon as the limit is passed. */
export const limitBody = bodyLimit({
  maxSize: BODY_MAX_BYTES,
  onError: () => {
    throw new Problem('body-too-large', `The body is over ${BODY_MAX_BYTES} bytes.`, {
      // What is left of it is not read, so the connection cannot be used again.
      headers: { connection: 'close' },
    });
  },
});
