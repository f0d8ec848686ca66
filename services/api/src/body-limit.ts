import { createMiddleware } from 'hono/factory';
import type { Env } from './deps.ts';
import { Problem } from './problem.ts';

/** Largest request body. The biggest sensible one, an approval of 1,000 digests, has 70 kB. */
export const BODY_MAX_BYTES = 1 << 20;

const JSON_TYPE = /^application\/([a-z-.]+\+)?json(;|$)/i;

/**
 * Refuses a body of another type, and a longer body: by its Content-Length before reading, without one as soon as the limit is passed. What was read
 * to know that is kept where the handlers' own readers look for it (HonoRequest.bodyCache): putting a new Request in
 * place of the server's, as Hono's bodyLimit does, fails with the light one of @hono/node-server.
 */
export const limitBody = createMiddleware<Env>(async (c, next) => {
  const length = c.req.header('content-length');
  const isChunked = c.req.header('transfer-encoding') !== undefined;
  // Where a body may be left out, the validators would pass over one of another type.
  const type = c.req.header('content-type');
  if (type === undefined ? isChunked || Number(length ?? 0) > 0 : !JSON_TYPE.test(type)) throw notJson();
  if (length !== undefined && !isChunked) {
    if (Number(length) > BODY_MAX_BYTES) throw tooLarge();
    return next();
  }
  const { body } = c.req.raw;
  // The declared type is of what the promise gives, the code keeps promises (hono/src/request.ts, #cachedBody).
  if (body !== null) c.req.bodyCache.arrayBuffer = Promise.resolve(await readLimited(body)) as never;
  return next();
});

async function readLimited(body: ReadableStream<Uint8Array>): Promise<ArrayBuffer> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of body) {
    sizeBytes += chunk.length;
    if (sizeBytes > BODY_MAX_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks)).buffer;
}

function notJson(): Problem {
  return new Problem('unsupported-content-type', 'Send the body as application/json.');
}

function tooLarge(): Problem {
  return new Problem('body-too-large', `The body is over ${BODY_MAX_BYTES} bytes.`, {
    // What is left of it is not read, so the connection cannot be used again.
    headers: { connection: 'close' },
  });
}
