/** Errors as HTTP shows them: RFC 9457 problem details. A handler throws a {@link Problem}; `app.ts` writes it. */
import { z } from '@hono/zod-openapi';

export const PROBLEM_TYPE = 'application/problem+json';

/** Everything this api answers with besides success. The key is the last part of the problem's `type`. */
const KINDS = {
  'invalid-request': { status: 400, title: 'The request is not valid' },
  'invalid-token': { status: 401, title: 'A valid token is needed' },
  'role-needed': { status: 403, title: 'The token has too low a role' },
  'not-found': { status: 404, title: 'Not found' },
  'method-not-allowed': { status: 405, title: 'This path does not take that method' },
  'request-timeout': { status: 408, title: 'The request took too long to arrive' },
  conflict: { status: 409, title: 'Not possible in the current state' },
  'body-too-large': { status: 413, title: 'The body is too large' },
  'unsupported-content-type': { status: 415, title: 'The body must be JSON' },
  'changes-elsewhere': { status: 421, title: 'Another copy takes changes' },
  'headers-too-large': { status: 431, title: 'The headers are too large' },
  'too-many-requests': { status: 429, title: 'Too many requests' },
  bug: { status: 500, title: 'Something is wrong on our side' },
  'try-again': { status: 503, title: 'Not available right now' },
} as const;

export type ProblemKind = keyof typeof KINDS;
export type ProblemStatus = (typeof KINDS)[ProblemKind]['status'];

/** One fault of the input: where it is and what is allowed there. */
export type InputFault = {
  readonly in: 'query' | 'path' | 'header' | 'body';
  /** Name of the parameter or header; RFC 6901 pointer into the body. */
  readonly at: string;
  readonly detail: string;
};

export const problemSchema = z
  .object({
    type: z.string().openapi({ example: 'urn:bintrail:problem:invalid-request' }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    request_id: z.string().describe('Stands in the log beside this answer.'),
    errors: z
      .array(z.object({ in: z.enum(['query', 'path', 'header', 'body']), at: z.string(), detail: z.string() }))
      .optional()
      .describe('Each fault of the input, with the parameter or the JSON pointer it stands at.'),
  })
  .openapi('Problem', { description: 'RFC 9457 problem details.' });

type Extra = { readonly errors?: readonly InputFault[]; readonly headers?: Readonly<Record<string, string>> };

/** Ends a request with an error the client may see. `detail` is public: no SQL, no stack, no internals. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly kind: ProblemKind;
  readonly errors: readonly InputFault[];
  readonly headers: Readonly<Record<string, string>>;
  constructor(kind: ProblemKind, detail: string, extra: Extra = {}) {
    super(detail);
    this.kind = kind;
    this.errors = extra.errors ?? [];
    this.headers = extra.headers ?? {};
  }
}

/** Input that the schema let through but that is wrong all the same. */
export function badInput(where: InputFault['in'], at: string, detail: string): Problem {
  return new Problem('invalid-request', `${at}: ${detail}`, { errors: [{ in: where, at, detail }] });
}

export function notFound(what: string): Problem {
  return new Problem('not-found', `There is no ${what}.`);
}

export function problemStatus(kind: ProblemKind): ProblemStatus {
  return KINDS[kind].status;
}

/** The JSON text of a problem. */
export function problemBody(problem: Problem, requestId: string): string {
  const { status, title } = KINDS[problem.kind];
  return JSON.stringify({
    type: `urn:bintrail:problem:${problem.kind}`,
    title,
    status,
    detail: problem.message,
    request_id: requestId,
    ...(problem.errors.length > 0 ? { errors: problem.errors } : {}),
  });
}

export function problemResponse(problem: Problem, requestId: string): Response {
  return new Response(problemBody(problem, requestId), {
    status: problemStatus(problem.kind),
    headers: { ...problem.headers, 'content-type': PROBLEM_TYPE },
  });
}
