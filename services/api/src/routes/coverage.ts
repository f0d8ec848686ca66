import { createRoute, z } from '@hono/zod-openapi';
import { json, listOf, needs, nodeParam, problems, querySchema, READ_PROBLEMS } from '../answers.ts';
import { nodeCoverageSchema } from '../coverage-answer.ts';
import type { App } from '../deps.ts';
import { openPage, pageParams } from '../page.ts';
import { nodeCoverage, windowCoverage } from '../queries/coverage.ts';
import { timeParam } from '../time.ts';

const list = createRoute({
  method: 'get',
  path: '/v1/coverage',
  tags: ['coverage'],
  operationId: 'listCoverage',
  summary: 'How much each node saw, stored and lost',
  description:
    'Of the last 24 hours unless `since` says otherwise. Counters are kept by the minute: `since` and `until` take in ' +
    'the whole minutes at their ends, for what was seen, lost and stored alike. Probes report their counters every few ' +
    'seconds, and events take a moment to be stored: at the ends of a window seen and stored differ by what was on its ' +
    'way, and where a probe was killed by what came after its last report. Events are kept for 90 days: of what is ' +
    'older there is nothing stored.',
  ...needs('viewer'),
  request: {
    query: querySchema({
      node: nodeParam.optional(),
      since: timeParam.optional(),
      until: timeParam.optional(),
      ...pageParams,
    }),
  },
  responses: { 200: json(listOf(nodeCoverageSchema), 'A page of nodes.'), ...problems(...READ_PROBLEMS) },
});

const DEFAULT_SINCE = 'now-24h';

export function coverageRoutes(app: App): void {
  app.openapi(list, async (c) => {
    const { deps } = c.var;
    const query = c.req.valid('query');
    const { window, after, limit, next } = openPage(
      'coverage',
      query,
      z.string().max(256),
      deps.clock(),
      DEFAULT_SINCE,
    );
    const [nodes, coverage] = await Promise.all([
      nodeCoverage(deps.store, window, query.node),
      windowCoverage(deps.store, { ...window, node: query.node }),
    ]);
    const left = nodes.filter(({ node }) => after === undefined || node > after);
    const items = left.slice(0, limit);
    const next_cursor = left.length > limit ? next(items.at(-1)!.node) : null;
    return c.json({ items, next_cursor, coverage, policy_revision: deps.approvals.revision() }, 200);
  });
}
