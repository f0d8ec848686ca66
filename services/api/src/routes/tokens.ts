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
  WRITE_PROBLEMS,
} from '../answers.ts';
import { insertAuditRows } from '../audit-rows.ts';
import type { App, Deps } from '../deps.ts';
import { openPage, pageParams } from '../page.ts';
import { notFound, Problem } from '../problem.ts';
import { createSecret } from '../secret.ts';
import { rfc3339FromMs, timeText } from '../time.ts';
import { ROLES_UPWARDS, type Token } from '../token-book.ts';

const roleSchema = z.enum(ROLES_UPWARDS).describe('Each may do what those before it may.');

const tokenSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    role: roleSchema,
    created_at: timeText,
    created_by: z.string(),
    expires_at: timeText.nullable(),
    revoked_at: timeText.nullable(),
    valid: z.boolean(),
  })
  .openapi('Token');

const newTokenSchema = tokenSchema
  .extend({ token: z.string().describe('The secret. It is shown this once and not kept.') })
  .openapi('NewToken');

const inputSchema = z
  .strictObject({
    // A slash sets a name apart from its token's id in the audit log.
    name: z.string().regex(/^[A-Za-z0-9 ._@:+-]{1,128}$/, 'up to 128 letters, digits, spaces and . _ @ : + -'),
    role: roleSchema,
    expires_at: z.iso.datetime({ offset: true }).nullable().default(null),
  })
  .openapi('TokenInput', { example: { name: 'grafana', role: 'viewer', expires_at: null } });

const list = createRoute({
  method: 'get',
  path: '/v1/tokens',
  tags: ['tokens'],
  operationId: 'listTokens',
  summary: 'Every token ever made, newest first',
  ...needs('admin'),
  request: { query: querySchema({ ...pageParams }) },
  responses: { 200: json(listOf(tokenSchema), 'A page of tokens, without secrets.'), ...problems(...READ_PROBLEMS) },
});

const create = createRoute({
  method: 'post',
  path: '/v1/tokens',
  tags: ['tokens'],
  operationId: 'createToken',
  summary: 'Make a token',
  ...needs('admin'),
  request: { body: jsonBody(inputSchema, 'Whom it is for, and what it may do.') },
  responses: { 201: json(newTokenSchema, 'The token with its secret.'), ...problems(...WRITE_PROBLEMS) },
});

const revoke = createRoute({
  method: 'delete',
  path: '/v1/tokens/{id}',
  tags: ['tokens'],
  operationId: 'revokeToken',
  summary: 'Revoke a token',
  description: 'It stops to work at once here, and within 10 s on copies of the api that only read.',
  ...needs('admin'),
  request: { params: z.object({ id: z.string().min(1).max(64) }) },
  responses: { 200: json(tokenSchema, 'The revoked token.'), ...problems(...CHANGE_PROBLEMS, 404, 409) },
});

export function tokensRoutes(app: App): void {
  app.openapi(list, (c) => {
    const { approvals, tokens, clock } = c.var.deps;
    const newestFirst = tokens.list().toReversed();
    const page = openPage('tokens', c.req.valid('query'), z.string(), clock());
    const start = page.after === undefined ? 0 : newestFirst.findIndex(({ id }) => id === page.after) + 1;
    const shown = newestFirst.slice(start, start + page.limit);
    const next_cursor = start + shown.length < newestFirst.length ? page.next(shown.at(-1)!.id) : null;
    const items = shown.map((token) => answer(c.var.deps, token));
    return c.json({ items, next_cursor, coverage: null, policy_revision: approvals.revision() }, 200);
  });

  app.openapi(create, async (c) => {
    const { deps, actor } = c.var;
    const { name, role, expires_at } = c.req.valid('json');
    const { id, token: secret, sha256 } = createSecret();
    const createdAtMs = deps.clock();
    const expiresAtMs = expires_at === null ? null : Date.parse(expires_at);
    const token = { id, name, role, sha256, createdAtMs, createdBy: actor.name, expiresAtMs, revokedAtMs: null };
    await deps.oneWriter(async () => {
      const change = { action: 'token.create', object: `token:${id}`, detail: { name, role, expires_at } };
      await insertAuditRows(deps.store, actor, createdAtMs, [change]);
      await deps.tokens.add(token);
    });
    return c.json({ ...answer(deps, token), token: secret }, 201);
  });

  app.openapi(revoke, async (c) => {
    const { deps, actor } = c.var;
    const { id } = c.req.valid('param');
    const revoked = await deps.oneWriter(async () => {
      const token = deps.tokens.list().find((candidate) => candidate.id === id && candidate.revokedAtMs === null);
      if (token === undefined) throw notFound('token with this id that is not revoked');
      refuseLastAdmin(deps, token);
      const change = { action: 'token.revoke', object: `token:${id}`, detail: { name: token.name, role: token.role } };
      await insertAuditRows(deps.store, actor, deps.clock(), [change]);
      await deps.tokens.revoke(token);
      return deps.tokens.list().find((candidate) => candidate.id === id) ?? token;
    });
    return c.json(answer(deps, revoked), 200);
  });
}

function refuseLastAdmin({ tokens }: Deps, token: Token): void {
  // One that expires is no way back in for good.
  const admins = tokens.list().filter((other) => other.role === 'admin' && tokens.isValid(other));
  const lasting = admins.filter(({ id, expiresAtMs }) => id !== token.id && expiresAtMs === null);
  if (token.role !== 'admin' || lasting.length > 0 || tokens.hasFleetAdmin) return;
  throw new Problem('conflict', 'This is the last admin token without an end; make another one first.');
}

function answer({ tokens }: Deps, token: Token) {
  const { id, name, role, createdAtMs, createdBy, expiresAtMs, revokedAtMs } = token;
  return {
    id,
    name,
    role,
    created_at: rfc3339FromMs(createdAtMs),
    created_by: createdBy,
    expires_at: expiresAtMs === null ? null : rfc3339FromMs(expiresAtMs),
    revoked_at: revokedAtMs === null ? null : rfc3339FromMs(revokedAtMs),
    valid: tokens.isValid(token),
  };
}
