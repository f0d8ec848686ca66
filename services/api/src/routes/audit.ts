import { createRoute, z } from '@hono/zod-openapi';
import { json, listOf, needs, problems, querySchema, READ_PROBLEMS } from '../answers.ts';
import { readAuditRows } from '../audit-rows.ts';
import type { App } from '../deps.ts';
import { openPage, pageParams } from '../page.ts';
import { timeParam, timeText } from '../time.ts';

const auditSchema = z
  .object({
    at: timeText,
    id: z.string(),
    actor: z.string().describe('Name of the token that asked for the change.'),
    token_id: z.string(),
    role: z.string(),
    action: z.string().openapi({ example: 'approval.create' }),
    object: z.string().openapi({ example: 'approval:0f9d5c4e-6c53-4a5b-9b8e-3a4f4c5d6e7f' }),
    detail: z.record(z.string(), z.unknown()).describe('What was asked for.'),
  })
  .openapi('AuditRow');

const list = createRoute({
  method: 'get',
  path: '/v1/audit',
  tags: ['audit'],
  operationId: 'listAudit',
  summary: 'Who changed what, newest first',
  description: 'A row is written before its change: an attempt that then failed leaves one too.',
  ...needs('analyst'),
  request: {
    query: querySchema({
      object: z.string().min(1).max(256).optional().describe('approval:<id>, finding:<id> or token:<id>'),
      action: z.string().min(1).max(64).optional(),
      actor: z.string().min(1).max(128).optional().describe('Name of a token.'),
      since: timeParam.optional(),
      until: timeParam.optional(),
      ...pageParams,
    }),
  },
  responses: { 200: json(listOf(auditSchema), 'A page of audit rows.'), ...problems(...READ_PROBLEMS) },
});

// Up to what a Date can hold: a forged cursor must not become an error of the store.
const keySchema = z.tuple([z.int().min(0).max(8.64e15), z.string().max(64)]);

export function auditRoutes(app: App): void {
  app.openapi(list, async (c) => {
    const query = c.req.valid('query');
    const { store, approvals, clock } = c.var.deps;
    const page = openPage('audit', query, keySchema, clock());
    const { object, action, actor } = query;
    const rows = await readAuditRows(store, { ...page, limit: page.limit + 1, object, action, actor });
    const shown = rows.slice(0, page.limit);
    const next_cursor = rows.length > shown.length ? page.next([...shown.at(-1)!.key]) : null;
    const items = shown.map(({ row }) => row);
    return c.json({ items, next_cursor, coverage: null, policy_revision: approvals.revision() }, 200);
  });
}
