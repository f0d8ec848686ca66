import { randomUUID } from 'node:crypto';
import { compilePattern, matchesPattern } from '@bintrail/analysis/pattern.ts';
import { type Approval, approvalInputSchema, approvalSchema } from '@bintrail/schemas/approval.ts';
import { createRoute, z } from '@hono/zod-openapi';
import {
  CHANGE_PROBLEMS,
  json,
  jsonBody,
  listOf,
  needs,
  problems,
  querySchema,
  READ_PROBLEMS,
  sha256Param,
  WRITE_PROBLEMS,
  workloadParam,
} from '../answers.ts';
import { type ApprovalRow, approvalRecord } from '../approval-rows.ts';
import { insertAuditRows } from '../audit-rows.ts';
import type { App, Deps } from '../deps.ts';
import { openPage, pageParams } from '../page.ts';
import { notFound } from '../problem.ts';
import type { Actor } from '../token-book.ts';

const STATES = ['active', 'expired', 'withdrawn'] as const;

const approvalAnswer = approvalSchema
  .extend({ state: z.enum(STATES).describe('Whether verdicts count it now.') })
  .openapi('Approval', {
    example: {
      id: '0f9d5c4e-6c53-4a5b-9b8e-3a4f4c5d6e7f',
      revision: 12,
      match: { sha256: ['9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'] },
      effect: 'allow',
      scope: { workload: 'systemd/backup.service' },
      reason: 'our own backup tool, built from tag v2.3',
      author: 'first-admin',
      created_at: '2026-01-31T08:00:00.000Z',
      expires_at: null,
      state: 'active',
    },
  });

const approvalBody = approvalInputSchema.openapi('ApprovalInput', {
  example: {
    match: { sha256: ['9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'] },
    effect: 'allow',
    scope: { workload: '*' },
    reason: 'our own backup tool, built from tag v2.3',
    expires_at: null,
  },
});

const idParams = z.object({ id: z.string().min(1).max(64) });

const list = createRoute({
  method: 'get',
  path: '/v1/approvals',
  tags: ['approvals'],
  operationId: 'listApprovals',
  summary: 'Approvals and denials in force or expired, newest first',
  ...needs('viewer'),
  request: {
    query: querySchema({
      effect: z.enum(['allow', 'deny']).optional(),
      state: z.enum(['active', 'expired']).optional(),
      sha256: sha256Param.optional(),
      package: z.string().min(1).max(256).optional().describe('manager:name:architecture'),
      workload: workloadParam.optional().describe('Those whose scope covers this workload id.'),
      ...pageParams,
    }),
  },
  responses: { 200: json(listOf(approvalAnswer), 'A page of approvals.'), ...problems(...READ_PROBLEMS) },
});

const create = createRoute({
  method: 'post',
  path: '/v1/approvals',
  tags: ['approvals'],
  operationId: 'createApproval',
  summary: 'Approve or deny by digest, package or path',
  description: 'Every verdict asked for from here on is judged by it.',
  ...needs('analyst'),
  request: { body: jsonBody(approvalBody, 'What to approve or deny, where, and why.') },
  responses: { 201: json(approvalAnswer, 'The approval as it counts from now on.'), ...problems(...WRITE_PROBLEMS) },
});

const get = createRoute({
  method: 'get',
  path: '/v1/approvals/{id}',
  tags: ['approvals'],
  operationId: 'getApproval',
  summary: 'One approval',
  ...needs('viewer'),
  request: { params: idParams },
  responses: { 200: json(approvalAnswer, 'The approval.'), ...problems(...READ_PROBLEMS, 404) },
});

const withdraw = createRoute({
  method: 'delete',
  path: '/v1/approvals/{id}',
  tags: ['approvals'],
  operationId: 'withdrawApproval',
  summary: 'Withdraw an approval',
  description: 'Verdicts no longer count it. What it was stays in the audit log.',
  ...needs('analyst'),
  request: { params: idParams },
  responses: { 200: json(approvalAnswer, 'The withdrawn approval.'), ...problems(...CHANGE_PROBLEMS, 404) },
});

export function approvalsRoutes(app: App): void {
  app.openapi(list, (c) => {
    const query = c.req.valid('query');
    const { approvals, clock } = c.var.deps;
    const page = openPage('approvals', query, z.int(), clock());
    const items = approvals
      .list()
      .filter(({ revision }) => page.after === undefined || revision < page.after)
      .map((approval) => withState(approval, clock()))
      .filter((approval) => isAsked(approval, query));
    const shown = items.slice(0, page.limit);
    const next_cursor = items.length > shown.length ? page.next(shown.at(-1)!.revision) : null;
    return c.json({ items: shown, next_cursor, coverage: null, policy_revision: approvals.revision() }, 200);
  });

  app.openapi(create, async (c) => {
    const { deps, actor } = c.var;
    const input = c.req.valid('json');
    const atMs = deps.clock();
    const approval = {
      ...input,
      id: randomUUID(),
      revision: 0,
      author: actor.name,
      created_at: new Date(atMs).toISOString(),
    };
    const row = await deps.oneWriter(() => change(deps, actor, 'approval.create', { approval, deleted: false, atMs }));
    c.header('location', `/v1/approvals/${approval.id}`);
    return c.json(withState(row.approval, atMs), 201);
  });

  app.openapi(get, (c) => {
    const { approvals, clock } = c.var.deps;
    return c.json(withState(known(approvals.get(c.req.valid('param').id)), clock()), 200);
  });

  app.openapi(withdraw, async (c) => {
    const { deps, actor } = c.var;
    const { approval } = await deps.oneWriter(async () => {
      const approval = known(deps.approvals.get(c.req.valid('param').id));
      return change(deps, actor, 'approval.withdraw', { approval, deleted: true, atMs: deps.clock() });
    });
    return c.json({ ...approval, state: 'withdrawn' as const }, 200);
  });
}

type Answer = Approval & { state: (typeof STATES)[number] };

function withState(approval: Approval, nowMs: number): Answer {
  const isExpired = approval.expires_at !== null && Date.parse(approval.expires_at) <= nowMs;
  return { ...approval, state: isExpired ? 'expired' : 'active' };
}

function known(approval: Approval | undefined): Approval {
  if (approval === undefined) throw notFound('approval with this id');
  return approval;
}

async function change(
  { store, approvals, publisher }: Deps,
  actor: Actor,
  action: string,
  next: { readonly approval: Approval; readonly deleted: boolean; readonly atMs: number },
): Promise<ApprovalRow> {
  const { revision: _, ...detail } = next.approval;
  await insertAuditRows(store, actor, next.atMs, [{ action, object: `approval:${detail.id}`, detail }]);
  const row = await approvals.write(next);
  await publisher.publish([approvalRecord(row)]);
  return row;
}

type Filters = z.output<typeof list.request.query>;

function isAsked({ match, scope, effect, state }: Answer, asked: Filters): boolean {
  if (asked.effect !== undefined && effect !== asked.effect) return false;
  if (asked.state !== undefined && state !== asked.state) return false;
  if (asked.sha256 !== undefined && !('sha256' in match && match.sha256.includes(asked.sha256))) return false;
  if (asked.package !== undefined && !('package' in match && match.package.name === asked.package)) return false;
  return asked.workload === undefined || matchesPattern(compilePattern(scope.workload), asked.workload);
}
