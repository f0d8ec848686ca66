import { createRoute, z } from '@hono/zod-openapi';
import { json, listOf, needs, nodeParam, problems, querySchema, READ_PROBLEMS, workloadParam } from '../answers.ts';
import { containerAnswer } from '../container-answer.ts';
import type { App } from '../deps.ts';
import { openPage, pageParams } from '../page.ts';
import { type ContainerKey, listContainers } from '../queries/containers.ts';
import { windowCoverage } from '../queries/coverage.ts';
import { TIME_MAX_NS, timeParam } from '../time.ts';

const textParam = z.string().min(1).max(512);
const prefixParam = (what: string) => textParam.optional().describe(`${what}, or a prefix that ends in *.`);

const list = createRoute({
  method: 'get',
  path: '/v1/containers',
  tags: ['containers'],
  operationId: 'listContainers',
  summary: 'Which container, pod and image that was, where and when; the one made last first',
  description:
    'Those that were there within the last 24 hours, unless `since` says otherwise: made before `until`, and without an ' +
    'end before `since`. What is shown of one is what was told last. Containers whose runtime nobody asks (rootless ' +
    'ones, LXC) are not told of: events have their ids all the same.',
  ...needs('viewer'),
  request: {
    query: querySchema({
      container_id: prefixParam('The full id').openapi({ example: '3f4e1a*' }),
      node: nodeParam.optional(),
      workload: workloadParam.optional().describe('As in events, or by its names.'),
      name: prefixParam('The name its runtime gives it, in Kubernetes that within the pod'),
      namespace: textParam.optional(),
      pod: prefixParam('The name of a pod'),
      image: textParam.optional().describe('Image digest as events show it.'),
      image_ref: prefixParam('The image as whoever started the container named it'),
      since: timeParam.optional(),
      until: timeParam.optional(),
      ...pageParams,
    }),
  },
  responses: { 200: json(listOf(containerAnswer), 'A page of containers.'), ...problems(...READ_PROBLEMS) },
});

// A forged cursor must not become an error of the store.
const keySchema: z.ZodType<ContainerKey> = z.tuple([
  z.string().refine((text) => /^\d{1,19}$/.test(text) && BigInt(text) <= TIME_MAX_NS),
  z.string().max(256),
  z.string().regex(/^(?:[0-9A-F]{2})*$/),
]);

export function containersRoutes(app: App): void {
  app.openapi(list, async (c) => {
    const { deps } = c.var;
    const query = c.req.valid('query');
    const page = openPage('containers', query, keySchema, deps.clock(), 'now-24h');
    const { limit: _limit, cursor: _cursor, since: _since, until: _until, ...filters } = query;
    const [{ containers, next }, coverage] = await Promise.all([
      listContainers(deps.store, {
        nowMs: deps.clock(),
        filters,
        window: page.window,
        after: page.after,
        limit: page.limit,
      }),
      windowCoverage(deps.store, { ...page.window, node: query.node, workload: query.workload }),
    ]);
    const next_cursor = next === undefined ? null : page.next(next);
    return c.json({ items: containers, next_cursor, coverage, policy_revision: deps.approvals.revision() }, 200);
  });
}
