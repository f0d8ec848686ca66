import { createRoute, z } from '@hono/zod-openapi';
import { json, listOf, needs, nodeParam, problems, querySchema, READ_PROBLEMS } from '../answers.ts';
import { gapSumsSchema } from '../coverage-answer.ts';
import type { App } from '../deps.ts';
import { openPage, pageParams } from '../page.ts';
import { windowCoverage } from '../queries/coverage.ts';
import { listNodes, SILENT_MS } from '../queries/nodes.ts';
import { timeText } from '../time.ts';

const nodeAnswer = z
  .object({
    node: z.string(),
    last_heartbeat: timeText.describe('By the clock of the node.'),
    silent: z.boolean().describe(`Nothing was heard of its probe for ${SILENT_MS / 1000} s.`),
    probe_version: z.string(),
    hooks: z.string().describe('Hook family: lsm or tracepoint.'),
    kernel: z.string(),
    mode: z.string().describe('live, replay, or stopping: the probe was asked to end.'),
    boot: z.string(),
    probe_epoch: z.number().describe('Start of the probe, milliseconds since the epoch.'),
    outbox_depth: z.number().describe('Messages it has not handed over yet.'),
    waiting_digests: z.int().describe('Files waiting to be hashed.'),
    held_descriptors: z.int(),
    loss: z.int().describe('Execs, exits and loads lost in the last 24 hours; `/v1/coverage` says where.'),
    gaps: gapSumsSchema.describe('Times without a probe in the last 24 hours; `/v1/coverage` lists them.'),
  })
  .openapi('Node');

const list = createRoute({
  method: 'get',
  path: '/v1/nodes',
  tags: ['coverage'],
  operationId: 'listNodes',
  summary: 'Nodes and their probes, in the order of names',
  description: 'Those that reported in the last 30 days. `coverage` is of the last 24 hours.',
  ...needs('viewer'),
  request: { query: querySchema({ node: nodeParam.optional(), ...pageParams }) },
  responses: { 200: json(listOf(nodeAnswer), 'A page of nodes.'), ...problems(...READ_PROBLEMS) },
});

export function nodesRoutes(app: App): void {
  app.openapi(list, async (c) => {
    const { deps } = c.var;
    const query = c.req.valid('query');
    const nowMs = deps.clock();
    const page = openPage('nodes', query, z.string().max(256), nowMs, 'now-24h');
    const [{ nodes, next }, coverage] = await Promise.all([
      listNodes(deps.store, { nowMs, node: query.node, after: page.after, limit: page.limit }),
      windowCoverage(deps.store, { ...page.window, node: query.node }),
    ]);
    const next_cursor = next === undefined ? null : page.next(next);
    return c.json({ items: nodes, next_cursor, coverage, policy_revision: deps.approvals.revision() }, 200);
  });
}
