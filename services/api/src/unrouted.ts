import type { Context } from 'hono';
import type { App, Env } from './deps.ts';
import { notFound, Problem, problemResponse } from './problem.ts';

/** Answers what no route took: OPTIONS and 405 with the methods the path has, else 404. No CORS headers, ever. */
export function answerUnrouted(app: App): (c: Context<Env>) => Response {
  const routes = app.routes
    .filter(({ method }) => method !== 'ALL')
    .map(({ method, path }) => ({ method, pattern: patternOf(path) }));
  return (c) => {
    const methods = new Set(routes.filter(({ pattern }) => pattern.test(c.req.path)).map(({ method }) => method));
    // Answered, not thrown: Hono's handling of what is thrown here skips the middleware around it.
    const refuse = (problem: Problem) => problemResponse(problem, c.var.requestId);
    if (methods.size === 0) return refuse(notFound('such path; /openapi.json lists them all'));
    if (methods.has('GET')) methods.add('HEAD');
    methods.add('OPTIONS');
    const allow = [...methods].sort().join(', ');
    if (c.req.method === 'OPTIONS') return new Response(null, { status: 204, headers: { allow } });
    return refuse(new Problem('method-not-allowed', `Allowed here: ${allow}.`, { headers: { allow } }));
  };
}

function patternOf(path: string): RegExp {
  const parts = path.split('/').map((part) => (part.startsWith(':') ? '[^/]+' : part.replaceAll('.', '\\.')));
  return new RegExp(`^${parts.join('/')}$`);
}
