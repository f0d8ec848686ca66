import { parseExecId } from '@bintrail/schemas/exec-id.ts';
import { createRoute, z } from '@hono/zod-openapi';
import {
  json,
  listOf,
  needs,
  nodeParam,
  problems,
  querySchema,
  READ_PROBLEMS,
  sha256Param,
  workloadParam,
} from '../answers.ts';
import type { App } from '../deps.ts';
import { EVENT_TYPES, eventAnswer, flagsParam, typesParam } from '../event-answer.ts';
import { openPage, pageParams } from '../page.ts';
import { windowCoverage } from '../queries/coverage.ts';
import { type EventsKey, listEvents } from '../queries/events.ts';
import { TIME_MAX_NS, timeParam } from '../time.ts';

const MAX_U32 = 0xffff_ffff;

const u32Param = z
  .string()
  .regex(/^\d{1,10}$/, `a number from 0 to ${MAX_U32}`)
  .transform(Number)
  .refine((value) => value <= MAX_U32, `a number from 0 to ${MAX_U32}`)
  .openapi({ type: 'integer', minimum: 0, maximum: MAX_U32 });

export const execIdParam = z
  .string()
  .refine((text) => parseExecId(text) !== undefined, 'an exec_id is <boot>:<pid>:<start_ns>:<self_exec_id>')
  .openapi({ example: '11111111-2222-3333-4444-555555555555:4711:81234567890:3' });

const list = createRoute({
  method: 'get',
  path: '/v1/events',
  tags: ['events'],
  operationId: 'listEvents',
  summary: 'Raw events, newest first',
  description:
    'Of the last 24 hours unless `since` says otherwise; they are kept for 90 days. A filter by something that a type ' +
    'of event does not have (exits have no uid, path, digest or flags) leaves that type out. Processes that a probe ' +
    'finds when it starts are listed as execs flagged snapshot, each once: not those whose exec is stored, nor again ' +
    'when the probe is started again. (The stream shows each such find as it arrives.)',
  ...needs('viewer'),
  request: {
    query: querySchema({
      type: typesParam(EVENT_TYPES).optional(),
      sha256: sha256Param.optional(),
      workload: workloadParam.optional(),
      node: nodeParam.optional(),
      container_id: z.string().min(1).max(512).optional().describe('A full id, or a prefix that ends in *.'),
      exec_id: execIdParam.optional(),
      pid: u32Param.optional(),
      uid: u32Param.optional(),
      path: z.string().min(1).max(4096).optional().describe('An exact path, or a prefix that ends in *.'),
      flags: flagsParam.optional(),
      since: timeParam.optional(),
      until: timeParam.optional(),
      ...pageParams,
    }),
  },
  responses: { 200: json(listOf(eventAnswer), 'A page of events.'), ...problems(...READ_PROBLEMS) },
});

const digits = (max: bigint) => z.string().refine((text) => /^\d{1,20}$/.test(text) && BigInt(text) <= max);
const u32 = z.int().min(0).max(MAX_U32);
// A forged cursor must not become an error of the store.
const keySchema: z.ZodType<EventsKey> = z.tuple([
  digits(TIME_MAX_NS),
  z.string().max(256),
  u32,
  digits(2n ** 64n - 1n),
  u32,
  z.enum(EVENT_TYPES),
]);

const DEFAULT_SINCE = 'now-24h';

export function eventsRoutes(app: App): void {
  app.openapi(list, async (c) => {
    const { deps } = c.var;
    const query = c.req.valid('query');
    const page = openPage('events', query, keySchema, deps.clock(), DEFAULT_SINCE);
    const { type: types, exec_id, container_id: containerId, node, workload, sha256, pid, uid, path, flags } = query;
    const execId = exec_id === undefined ? undefined : parseExecId(exec_id);
    const filters = { types, sha256, workload, node, containerId, execId, pid, uid, path, flags };
    const [{ events, next }, coverage] = await Promise.all([
      listEvents(deps.store, { filters, window: page.window, after: page.after, limit: page.limit }),
      windowCoverage(deps.store, { ...page.window, node, workload }),
    ]);
    const next_cursor = next === undefined ? null : page.next(next);
    return c.json({ items: events, next_cursor, coverage, policy_revision: deps.approvals.revision() }, 200);
  });
}
