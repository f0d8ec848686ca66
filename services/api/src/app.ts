/**
 * The HTTP face. `createApp(deps)` gives a Hono app that listens nowhere; `listen.ts` serves it.
 *
 * How a route is written (`routes/approvals.ts` is the pattern to follow):
 * - One file per resource exports `<resource>Routes(app: App): void`; `routes.ts` lists it. Definition
 *   (`createRoute`) and handler stand beside each other. Handlers find their dependencies in `c.var.deps`.
 * - `...needs('viewer')` in the definition asks for a token; `...problems(...READ_PROBLEMS, 404)` in its `responses`
 *   documents every error it can end in, `WRITE_PROBLEMS` where it changes something (`CHANGE_PROBLEMS` without a body).
 * - Queries are `querySchema({...})` (an unknown parameter is a 400), lists spread `pageParams`, and open their page
 *   by `openPage(listName, query, keySchema, clock())`: it resolves `since`/`until` and checks the cursor. Lists
 *   answer `listOf(item)`.
 * - Errors are thrown: `Problem`, `notFound('binary …')`, `badInput('query', 'exec_id', 'what is allowed')`. Never
 *   answer 4xx by hand. `Transient` from the store becomes 503 here; anything else is a bug, logged and answered 500.
 * - Every schema that goes out has snake_case names and, where it is shared, a name of its own: `.openapi('Finding')`.
 *   After a change run `node services/api/src/write-document.ts`: a test compares services/api/openapi.json.
 */
import { OpenAPIHono } from '@hono/zod-openapi';
import { createErrorHandler, refuseInvalid } from './app-errors.ts';
import type { App, Deps, Env } from './deps.ts';
import { observe, secure } from './frame.ts';
import { addRoutes } from './routes.ts';
import { answerUnrouted } from './unrouted.ts';

export function createApp(deps: Deps): App {
  const app = newApp();
  app.use(async (c, next) => {
    c.set('deps', deps);
    await next();
  });
  app.use(observe, secure);
  addRoutes(app);
  app.notFound(answerUnrouted(app));
  app.onError(createErrorHandler(deps.log));
  return app;
}

/** An app with our validation errors and nothing else; also what the OpenAPI document is made from. */
export function newApp(): App {
  return new OpenAPIHono<Env>({ defaultHook: refuseInvalid });
}
