import { RULES } from '@bintrail/schemas/finding.ts';
import { createRoute, z } from '@hono/zod-openapi';
import {
  json,
  jsonBody,
  listOf,
  needs,
  nodeParam,
  problems,
  querySchema,
  READ_PROBLEMS,
  sha256Param,
  WRITE_PROBLEMS,
  workloadParam,
} from '../answers.ts';
import type { App, Deps } from '../deps.ts';
import { actOn } from '../findings/act.ts';
import { answerOf, findingAnswer } from '../findings/answer.ts';
import type { FindingKey } from '../findings/evidence-rows.ts';
import { listFindings, readFindings } from '../findings/read.ts';
import { STATES } from '../findings/state.ts';
import { openPage, pageParams } from '../page.ts';
import { notFound } from '../problem.ts';
import { windowCoverage } from '../queries/coverage.ts';
import { TIME_MAX_NS, timeParam } from '../time.ts';

const findingId = z.string().regex(/^[0-9a-f]{64}$/, 'a finding id is 64 lower-case hex digits');
const idParams = z.object({ id: findingId });

const reason = z.string().max(2000).trim().min(1);
const acknowledgeInput = z.strictObject({ reason: reason.optional() }).openapi('AcknowledgeInput');
const resolveInput = z.strictObject({ reason }).openapi('ResolveInput');
const ids = z.array(findingId).min(1).max(1000);
// Not extended from the others: that is written as both at once, and each refuses what the other asks for.
const acknowledgeAllInput = z.strictObject({ reason: reason.optional(), ids }).openapi('AcknowledgeAllInput');
const resolveAllInput = z.strictObject({ reason, ids }).openapi('ResolveAllInput');
const bulkAnswer = z.object({ items: z.array(findingAnswer) }).openapi('ChangedFindings');

const TAGS = { tags: ['findings'] };

const list = createRoute({
  method: 'get',
  path: '/v1/findings',
  ...TAGS,
  operationId: 'listFindings',
  summary: 'Findings, the one first seen last before the others',
  description:
    'Counts and times are of all sightings; `since` and `until` choose findings that were seen in between. ' +
    'A finding whose verdict is now approved reads as resolved by that approval.',
  ...needs('viewer'),
  request: {
    query: querySchema({
      rule: z.enum(RULES).optional(),
      state: z.enum(STATES).optional(),
      sha256: sha256Param.optional(),
      workload: workloadParam.optional(),
      node: nodeParam.optional(),
      since: timeParam.optional(),
      until: timeParam.optional(),
      ...pageParams,
    }),
  },
  responses: { 200: json(listOf(findingAnswer), 'A page of findings.'), ...problems(...READ_PROBLEMS) },
});

const get = createRoute({
  method: 'get',
  path: '/v1/findings/{id}',
  ...TAGS,
  operationId: 'getFinding',
  summary: 'One finding',
  ...needs('viewer'),
  request: { params: idParams },
  responses: { 200: json(findingAnswer, 'The finding.'), ...problems(...READ_PROBLEMS, 404) },
});

const CHANGED = { 200: json(findingAnswer, 'The finding as it stands now.'), ...problems(...WRITE_PROBLEMS, 404) };
const ALL_CHANGED = { 200: json(bulkAnswer, 'The findings as they stand now.'), ...problems(...WRITE_PROBLEMS, 404) };

const acknowledge = createRoute({
  method: 'post',
  path: '/v1/findings/{id}/acknowledge',
  ...TAGS,
  operationId: 'acknowledgeFinding',
  summary: 'Somebody is looking at it',
  description: 'Changes nothing where it is acknowledged or resolved already.',
  ...needs('analyst'),
  request: { params: idParams, body: { ...jsonBody(acknowledgeInput, 'May be left out.'), required: false } },
  responses: CHANGED,
});

const resolve = createRoute({
  method: 'post',
  path: '/v1/findings/{id}/resolve',
  ...TAGS,
  operationId: 'resolveFinding',
  summary: 'It is dealt with',
  description: 'A sighting after this opens it again. Changes nothing where it is resolved already.',
  ...needs('analyst'),
  request: { params: idParams, body: jsonBody(resolveInput, 'How it was dealt with.') },
  responses: CHANGED,
});

const acknowledgeAll = createRoute({
  method: 'post',
  path: '/v1/findings/acknowledge',
  ...TAGS,
  operationId: 'acknowledgeFindings',
  summary: 'Somebody is looking at all of these',
  description: 'All or, where one does not exist, none.',
  ...needs('analyst'),
  request: { body: jsonBody(acknowledgeAllInput, 'Which findings.') },
  responses: ALL_CHANGED,
});

const resolveAll = createRoute({
  method: 'post',
  path: '/v1/findings/resolve',
  ...TAGS,
  operationId: 'resolveFindings',
  summary: 'All of these are dealt with',
  description: 'All or, where one does not exist, none.',
  ...needs('analyst'),
  request: { body: jsonBody(resolveAllInput, 'Which findings, and why.') },
  responses: ALL_CHANGED,
});

// As far as Int64 goes: a forged cursor must not become an error of the store.
const keySchema: z.ZodType<FindingKey> = z.tuple([
  z.string().refine((text) => /^\d{1,19}$/.test(text) && BigInt(text) <= TIME_MAX_NS),
  findingId,
]);

export function findingsRoutes(app: App): void {
  app.openapi(list, async (c) => {
    const query = c.req.valid('query');
    const { deps } = c.var;
    const page = openPage('findings', query, keySchema, deps.clock());
    const { rule, state, sha256, workload, node } = query;
    const policy_revision = deps.approvals.revision();
    const [{ findings, next }, coverage] = await Promise.all([
      listFindings(deps.store, { ...page, rule, state, sha256, workload, node }, judgingOf(deps)),
      windowCoverage(deps.store, { ...page.window, node, workload }),
    ]);
    const next_cursor = next === undefined ? null : page.next(next);
    return c.json({ items: findings.map(answerOf), next_cursor, coverage, policy_revision }, 200);
  });

  app.openapi(get, async (c) => {
    const { deps } = c.var;
    const [finding] = await readFindings(deps.store, [c.req.valid('param').id], judgingOf(deps));
    if (finding === undefined) throw notFound('finding with this id');
    return c.json(answerOf(finding), 200);
  });

  for (const [route, action] of [[acknowledge, 'acknowledge'] as const, [resolve, 'resolve'] as const]) {
    app.openapi(route, async (c) => {
      const { deps, actor } = c.var;
      const { reason = '' } = c.req.valid('json') ?? {};
      const act = { ids: [c.req.valid('param').id], action, reason };
      const [finding] = await deps.oneWriter(() => actOn(deps, actor, act));
      return c.json(answerOf(finding!), 200);
    });
  }

  for (const [route, action] of [[acknowledgeAll, 'acknowledge'] as const, [resolveAll, 'resolve'] as const]) {
    app.openapi(route, async (c) => {
      const { deps, actor } = c.var;
      const { ids, reason = '' } = c.req.valid('json');
      const findings = await deps.oneWriter(() => actOn(deps, actor, { ids, action, reason }));
      return c.json({ items: findings.map(answerOf) }, 200);
    });
  }
}

function judgingOf({ approvals, clock }: Deps) {
  return { approvals: approvals.compiled(), nowMs: clock() };
}
