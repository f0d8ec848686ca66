import { randomUUID } from 'node:crypto';
import { Transient } from '@bintrail/runtime/errors.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import type { Hook } from '@hono/zod-openapi';
import type { ErrorHandler } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { z } from 'zod';
import type { Env } from './deps.ts';
import { type InputFault, Problem, problemResponse } from './problem.ts';

// Also a first answer's worst case: 1,000 faulty digests need not all be listed.
const MAX_FAULTS = 20;
const RETRY_AFTER_DEFAULT_MS = 1000;

const PLACES: Record<string, InputFault['in']> = { query: 'query', param: 'path', header: 'header', json: 'body' };

/** Turns what a schema refused into a problem that names each parameter and says what is allowed. */
export const refuseInvalid: Hook<unknown, Env, string, undefined> = (result) => {
  if (result.success) return;
  const place = PLACES[result.target] ?? 'body';
  const faults = result.error.issues.flatMap(flatten).slice(0, MAX_FAULTS);
  const errors = faults.map((fault) => ({ in: place, at: nameOf(place, fault), detail: fault.message }));
  const [first] = errors;
  throw new Problem('invalid-request', first === undefined ? 'Not valid.' : `${first.at}: ${first.detail}`, { errors });
};

type Fault = { readonly path: readonly PropertyKey[]; readonly message: string };

// A union's own message says nothing; the branch that came furthest does.
function flatten(issue: z.core.$ZodIssue): Fault[] {
  if (issue.code === 'unrecognized_keys' && issue.path.length === 0) {
    return issue.keys.map((key) => ({ path: [key], message: issue.message }));
  }
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue];
  const nearest = [...issue.errors].sort((a, b) => depth(b) - depth(a) || a.length - b.length)[0]!;
  return nearest.flatMap(flatten).map(({ path, message }) => ({ path: [...issue.path, ...path], message }));
}

function depth(issues: readonly z.core.$ZodIssue[]): number {
  return Math.max(0, ...issues.map(({ path }) => path.length));
}

function nameOf(place: InputFault['in'], { path }: Fault): string {
  if (place !== 'body') return path.map(String).join('.');
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/** Writes whatever was thrown as a problem. Only a `Problem` speaks for itself. */
export function createErrorHandler(log: Log): ErrorHandler<Env> {
  return (error, c) => {
    // Thrown before `observe` ran: only by a fault in the frame itself.
    const requestId = c.var.requestId ?? randomUUID();
    const problem = toProblem(error);
    if (problem.kind === 'bug') log.error({ err: error, request_id: requestId }, 'bug while answering');
    if (problem.kind === 'try-again') log.warn({ err: error, request_id: requestId }, 'a dependency failed');
    return problemResponse(problem, requestId);
  };
}

function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof Transient) {
    const seconds = Math.ceil(Math.max(error.retryAfterMs, RETRY_AFTER_DEFAULT_MS) / 1000);
    return new Problem('try-again', 'The store or the bus cannot be reached right now.', {
      headers: { 'retry-after': String(seconds) },
    });
  }
  // Hono's validators: a body that is no JSON, or of another content type.
  if (error instanceof HTTPException && error.status === 415) {
    return new Problem('unsupported-content-type', 'Send the body as application/json.');
  }
  if (error instanceof HTTPException && error.status === 400) {
    const detail = 'The body is not JSON.';
    return new Problem('invalid-request', detail, { errors: [{ in: 'body', at: '', detail }] });
  }
  return new Problem('bug', 'The fault is logged under this request_id.');
}
