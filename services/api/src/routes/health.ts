import { setTimeout as delay } from 'node:timers/promises';
import { Transient } from '@bintrail/runtime/errors.ts';
import { createRoute, z } from '@hono/zod-openapi';
import { json, needs, problems, READ_PROBLEMS } from '../answers.ts';
import { type App, type Deps, PART_STATES } from '../deps.ts';
import { Problem } from '../problem.ts';

const healthSchema = z
  .object({
    mode: z.enum(['live', 'replay']).describe('replay: events come from a recording.'),
    hooks: z.enum(['lsm', 'tracepoint']).nullable().describe('Hook family of the probe; null before it reported.'),
    versions: z
      .record(z.string(), z.string())
      .describe('`bintrail`, `node`; `clickhouse` and `schema` (the newest migration) while the store answers.'),
    parts: z.record(z.string(), z.object({ state: z.enum(PART_STATES), detail: z.string().optional() })),
  })
  .openapi('Health');

const health = createRoute({
  method: 'get',
  path: '/healthz',
  tags: ['operation'],
  operationId: 'getHealth',
  summary: 'What runs, and how each part is',
  description: 'Open. Answers 200 as long as the process can answer; the state of each part stands in `parts`.',
  responses: { 200: json(healthSchema, 'The process answers.'), ...problems(500) },
});

const readySchema = z
  .object({
    ready: z.literal(true),
    checks: z.object({ store: z.literal('up').describe('It answers, and knows us and our database.') }),
  })
  .openapi('Readiness');

const ready = createRoute({
  method: 'get',
  path: '/readyz',
  tags: ['operation'],
  operationId: 'getReadiness',
  summary: 'Whether requests can be served',
  description: 'Open. Asks the store, for at most 2 s; 503 says in `detail` what failed.',
  responses: { 200: json(readySchema, 'Requests can be served.'), ...problems(500, 503) },
});

const metrics = createRoute({
  method: 'get',
  path: '/metrics',
  tags: ['operation'],
  operationId: 'getMetrics',
  summary: 'Prometheus metrics',
  ...needs('viewer'),
  responses: {
    200: { description: 'Prometheus text format.', content: { 'text/plain': { schema: z.string() } } },
    ...problems(...READ_PROBLEMS),
  },
});

export function healthRoutes(app: App): void {
  app.openapi(health, async (c) => {
    const { mode, hooks, versions, parts } = c.var.deps.status();
    const failure = await storeFailure(c.var.deps);
    const store = failure === undefined ? { state: 'up' as const } : { state: 'down' as const, detail: failure };
    const ofStore = failure === undefined ? await storeVersions(c.var.deps) : {};
    return c.json({ mode, hooks, versions: { ...versions, ...ofStore }, parts: { store, ...parts } }, 200);
  });

  app.openapi(ready, async (c) => {
    const failure = await storeFailure(c.var.deps);
    if (failure !== undefined) {
      throw new Problem('try-again', `The store ${failure}.`, { headers: { 'retry-after': '1' } });
    }
    return c.json({ ready: true as const, checks: { store: 'up' as const } }, 200);
  });

  app.openapi(metrics, async (c) => {
    const { contentType, body } = await c.var.deps.metrics.text();
    return c.body(body, 200, { 'content-type': contentType }) as never;
  });
}

// Who watches us gives up after a few seconds, and a store that takes as long serves nobody.
const PING_MS = 2_000;

/** What is wrong with the store, without its address; undefined when it answers. */
async function storeFailure({ store }: Deps): Promise<string | undefined> {
  const ping = store.ping().then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof Transient) return 'cannot be reached or is too busy';
      throw error;
    },
  );
  return Promise.race([ping, delay(PING_MS, `did not answer within ${PING_MS / 1_000} s`, { ref: false })]);
}

async function storeVersions({ store }: Deps): Promise<Record<string, string>> {
  const asked = store
    .query<{ clickhouse: string; schema: string }>(
      'SELECT version() AS clickhouse, toString(max(version)) AS schema FROM schema_migrations',
    )
    .catch((error: unknown) => {
      if (error instanceof Transient) return [];
      throw error;
    });
  const [row] = await Promise.race([asked, delay(PING_MS, [], { ref: false })]);
  return { ...row };
}
