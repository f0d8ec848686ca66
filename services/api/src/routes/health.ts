import { setTimeout as delay } from 'node:timers/promises';
import { Transient } from '@bintrail/runtime/errors.ts';
import { createRoute, z } from '@hono/zod-openapi';
import { json, needs, problems, READ_PROBLEMS } from '../answers.ts';
import { type App, type Deps, PART_STATES } from '../deps.ts';

const healthSchema = z
  .object({
    mode: z.enum(['live', 'replay']).describe('replay: events come from a recording.'),
    hooks: z.enum(['lsm', 'tracepoint']).nullable().describe('Hook family of the probe; null before it reported.'),
    versions: z.record(z.string(), z.string()),
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

const readySchema = z.object({ ready: z.boolean() }).openapi('Readiness');

const ready = createRoute({
  method: 'get',
  path: '/readyz',
  tags: ['operation'],
  operationId: 'getReadiness',
  summary: 'Whether requests can be served',
  description: 'Open. Asks the store.',
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
    const store = { state: (await storeAnswers(c.var.deps)) ? ('up' as const) : ('down' as const) };
    return c.json({ mode, hooks, versions: { ...versions }, parts: { store, ...parts } }, 200);
  });

  app.openapi(ready, async (c) => {
    if (!(await storeAnswers(c.var.deps))) throw new Transient('the store does not answer');
    return c.json({ ready: true }, 200);
  });

  app.openapi(metrics, async (c) => {
    const { contentType, body } = await c.var.deps.metrics.text();
    return c.body(body, 200, { 'content-type': contentType }) as never;
  });
}

// Who watches us gives up after a few seconds, and a store that takes as long serves nobody.
const PING_MS = 2_000;

async function storeAnswers({ store }: Deps): Promise<boolean> {
  const ping = store.ping().then(
    () => true,
    (error: unknown) => {
      if (error instanceof Transient) return false;
      throw error;
    },
  );
  const tooLong = delay(PING_MS, false, { ref: false });
  return Promise.race([ping, tooLong]);
}
