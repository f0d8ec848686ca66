/** What happens around every request: an id, a line in the access log, a measurement, headers. */
import { randomUUID } from 'node:crypto';
import type { MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import { clientAddress } from './auth.ts';
import type { Env } from './deps.ts';

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** Logs without the query: it may hold what somebody is looking for. */
export const observe: MiddlewareHandler<Env> = async (c, next) => {
  const { clock, log, metrics } = c.var.deps;
  const startedMs = clock();
  const offered = c.req.header('x-request-id') ?? '';
  const requestId = REQUEST_ID.test(offered) ? offered : randomUUID();
  c.set('requestId', requestId);
  await next();
  c.header('x-request-id', requestId);
  const tookMs = Math.max(0, clock() - startedMs);
  const { method, path } = c.req;
  const { status } = c.res;
  const pattern = routePath(c, -1);
  metrics.observeRequest(method, pattern.endsWith('*') ? 'none' : pattern, status, tookMs / 1000);
  const actor = c.get('actor')?.name ?? null;
  log.info({ request_id: requestId, method, path, status, took_ms: tookMs, actor, from: clientAddress(c) }, 'request');
};

const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const;

/** Security headers; a handler that sets one itself (`/docs`) keeps its own. */
export const secure: MiddlewareHandler<Env> = async (c, next) => {
  await next();
  for (const [name, value] of Object.entries(HEADERS)) if (!c.res.headers.has(name)) c.header(name, value);
};
