import { parseExecId } from '@bintrail/schemas/exec-id.ts';
import { createRoute, z } from '@hono/zod-openapi';
import { json, needs, problems, READ_PROBLEMS } from '../answers.ts';
import type { App } from '../deps.ts';
import { eventAnswer } from '../event-answer.ts';
import { badInput, notFound } from '../problem.ts';
import { MAX_ANCESTORS, MAX_CHILDREN, readProcess } from '../queries/processes.ts';
import { timeText } from '../time.ts';
import { execIdParam } from './events.ts';

// `.nullable()` of a named schema is written as one that null does not fit.
const eventOrNull = z.union([eventAnswer, z.null()]);

const processAnswer = eventAnswer
  .extend({
    ancestors: z.array(eventAnswer).describe(`The images that led to it, the nearest first, at most ${MAX_ANCESTORS}.`),
    ancestors_complete: z.boolean().describe('False where an ancestor was not seen, or there are more of them.'),
    children: z
      .array(eventAnswer)
      .describe(`Images it started, in the order of their processes' start, at most ${MAX_CHILDREN}.`),
    truncated: z.boolean().describe('There are more children.'),
    replaced: eventOrNull.describe('The image this process ran before.'),
    replaced_by: eventOrNull.describe('The image it runs, or ran, after this one.'),
    loads: z.array(eventAnswer).describe('Scripts it ran as their interpreter.'),
    exit: z
      .object({ ts: timeText, exit_code: z.int(), signal: z.int() })
      .nullable()
      .describe('How the process ended; of its last image only.'),
    running: z
      .boolean()
      .nullable()
      .describe('Null where nobody can say: the node has been silent for three minutes. See `running` of a binary.'),
    as_of: timeText.nullable().describe('When its node last looked at all processes, as far as that arrived whole.'),
  })
  .openapi('Process');

const get = createRoute({
  method: 'get',
  path: '/v1/processes/{exec_id}',
  tags: ['events'],
  operationId: 'getProcess',
  summary: 'One program image of a process, with what started it and what it started',
  description:
    'The fields of its exec event, and the images around it. Processes that ran before the probe are told of by events ' +
    'flagged snapshot, where there is no better one.',
  ...needs('viewer'),
  request: { params: z.object({ exec_id: execIdParam }) },
  responses: { 200: json(processAnswer, 'The image.'), ...problems(...READ_PROBLEMS, 404) },
});

export function processesRoutes(app: App): void {
  app.openapi(get, async (c) => {
    const { store, clock } = c.var.deps;
    const id = parseExecId(c.req.valid('param').exec_id);
    if (id === undefined) throw badInput('path', 'exec_id', 'not an exec_id');
    const found = await readProcess(store, id, clock());
    if (found === undefined) throw notFound('program image with this exec_id');
    const { exec, ancestors, isRootKnown, children, replacedBy, loads, exit, ...rest } = found;
    const end = exit === null ? null : { ts: exit.ts, exit_code: exit.exit_code ?? 0, signal: exit.signal ?? 0 };
    const around = { ancestors: [...ancestors], ancestors_complete: isRootKnown, children: [...children] };
    return c.json({ ...exec, ...around, ...rest, replaced_by: replacedBy, loads: [...loads], exit: end }, 200);
  });
}
