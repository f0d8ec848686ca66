/** Building blocks of route definitions: who may ask, what comes in, what goes out, and every error that can. */
import { ROLES } from '@bintrail/schemas/digest-words.ts';
import { z } from '@hono/zod-openapi';
import type { MiddlewareHandler } from 'hono';
import { requireRole } from './auth.ts';
import { limitBody } from './body-limit.ts';
import { coverageSchema } from './coverage-answer.ts';
import type { Env } from './deps.ts';
import { PROBLEM_TYPE, problemSchema } from './problem.ts';
import type { ApiRole } from './token-book.ts';

/** Spread into a route: it asks for a token with at least this role, and takes part in rate limits. */
export function needs(role: ApiRole): { security: { bearer: string[] }[]; middleware: MiddlewareHandler<Env>[] } {
  return { security: [{ bearer: [] }], middleware: [requireRole(role), limitBody] };
}

const TEXTS = {
  400: 'A parameter or the body is not valid; `errors` names each fault.',
  401: 'No token, or one that is unknown, expired or revoked.',
  403: 'The token has too low a role; `detail` names the role needed.',
  404: 'There is no such thing.',
  409: 'Not possible in the current state.',
  413: 'The body is over the limit of 1 MiB.',
  415: 'The body is not application/json.',
  421: 'This copy only reads; `detail` says where changes go.',
  429: 'Over the rate limit; `Retry-After` says how many seconds to wait.',
  431: 'Address and headers together are over 16 KiB.',
  500: 'A bug. `request_id` stands in the log.',
  503: 'A dependency is down or busy; `Retry-After` says how many seconds to wait.',
} as const;

/** Answers to a guarded request that has no body. */
export const READ_PROBLEMS = [400, 401, 403, 429, 431, 500, 503] as const;
/** Answers to a guarded change without a body. */
export const CHANGE_PROBLEMS = [...READ_PROBLEMS, 421] as const;
/** Answers to a guarded change with a body. */
export const WRITE_PROBLEMS = [...CHANGE_PROBLEMS, 413, 415] as const;

/**
 * Spread into `responses`: documents these errors. Typed as nothing, since a handler throws a `Problem` and never
 * returns one.
 */
export function problems(...statuses: (keyof typeof TEXTS)[]): Record<never, never> {
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      {
        description: TEXTS[status],
        content: { [PROBLEM_TYPE]: { schema: problemSchema } },
        ...(HEADERS[status] === undefined ? {} : { headers: HEADERS[status] }),
      },
    ]),
  );
}

const RETRY_AFTER = { 'Retry-After': { schema: { type: 'integer' as const }, description: 'Seconds.' } };
const HEADERS: Partial<Record<number, object>> = {
  401: { 'WWW-Authenticate': { schema: { type: 'string' as const }, description: 'RFC 6750.' } },
  429: RETRY_AFTER,
  503: RETRY_AFTER,
};

/** A JSON answer. */
export function json<S extends z.ZodType>(schema: S, description: string) {
  return { description, content: { 'application/json': { schema } } };
}

/** A JSON body that must be there. */
export function jsonBody<S extends z.ZodType>(schema: S, description: string) {
  return { description, required: true as const, content: { 'application/json': { schema } } };
}

/** A list answer: items, where to go on, what it rests on. */
export function listOf<S extends z.ZodType>(item: S) {
  return z.object({
    items: z.array(item),
    next_cursor: z.string().nullable().describe('Pass as `cursor` for the next page; null at the end.'),
    coverage: z
      .union([coverageSchema, z.null()])
      .openapi({ description: 'Of the asked window; null where nothing observed is listed.' }),
    policy_revision: z.int().describe('Revision of the approvals this was judged by.'),
  });
}

/** Query parameters. One that is not listed is refused: a misspelt filter must not answer for everything. */
export function querySchema<Shape extends z.ZodRawShape>(shape: Shape) {
  const allowed = Object.keys(shape).join(', ');
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? `${issue.keys.join(', ')} is not a parameter; allowed: ${allowed}`
        : undefined,
  });
}

export const sha256Param = z
  .string()
  .regex(/^[0-9a-fA-F]{64}$/, 'a SHA-256 is 64 hex digits')
  .transform((text) => text.toLowerCase());

/** What a file was to the process that ran it. */
export const roleParam = z.enum(ROLES).openapi({ description: 'Only what ran as this.' });

export const nodeParam = z.string().min(1).max(256).openapi({ description: 'Exact name of a node.' });
export const workloadParam = z
  .string()
  .min(1)
  .max(512)
  .openapi({ description: 'Exact workload id.', example: 'systemd/nginx.service' });
