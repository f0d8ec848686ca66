import { setTimeout as sleep } from 'node:timers/promises';
import { Transient } from '@bintrail/runtime/errors.ts';
import { createRoute, z } from '@hono/zod-openapi';
import { needs, nodeParam, problems, querySchema, READ_PROBLEMS, sha256Param, workloadParam } from '../answers.ts';
import type { App, Deps } from '../deps.ts';
import { typesParam } from '../event-answer.ts';
import { badInput, Problem } from '../problem.ts';
import { type Follower, follow, type Position, STREAM_TYPES } from '../queries/stream.ts';
import { rfc3339FromMs } from '../time.ts';

const POLL_MS = 1_000;
const HEARTBEAT_MS = 15_000;
/** Of raw events, by their time of ingest (schemas/migrations). */
const RETENTION_MS = 90 * 86_400_000;
export const MAX_STREAMS = 8;

const stream = createRoute({
  method: 'get',
  path: '/v1/events/stream',
  tags: ['events'],
  operationId: 'streamEvents',
  summary: 'Events and findings as they are stored (server-sent events)',
  description:
    '`event: event` with an Event as data, `event: finding` with a Finding, roughly in the order in which they were ' +
    'stored; a comment every 15 s. Begins now, or after the `Last-Event-ID`: then the last 30 s before it may repeat, ' +
    'and nothing is left out. An `id` is that of a whole poll of the store, not of one event: drop what repeats by ' +
    '`event_id` (of a finding: by `id`). `event: gap` with `{since, until}` says that events stored in between are no longer kept. ' +
    'An event whose digest was pending is followed by one of type digest: with `sha256`, that one is sent. ' +
    `At most ${MAX_STREAMS} streams of a token at once; one more is answered 429.`,
  ...needs('viewer'),
  request: {
    query: querySchema({
      type: typesParam(STREAM_TYPES).optional(),
      sha256: sha256Param.optional(),
      workload: workloadParam.optional(),
      node: nodeParam.optional(),
    }),
    headers: z.object({
      'last-event-id': z.string().max(256).optional().describe('`id` of the last event received.'),
    }),
  },
  responses: {
    200: {
      description: 'A stream that ends with the server.',
      content: { 'text/event-stream': { schema: z.string() } },
    },
    ...problems(...READ_PROBLEMS),
  },
});

const HEADERS = { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' };

export function streamRoutes(app: App): void {
  const open = new Map<string, number>();

  app.openapi(stream, async (c) => {
    const { deps, actor } = c.var;
    const { type: types, ...filters } = c.req.valid('query');
    const asked = readPosition(c.req.valid('header')['last-event-id'] ?? '');
    const release = take(open, actor.tokenId);
    const left = new AbortController();
    try {
      const oldestMs = deps.clock() - RETENTION_MS;
      const from = asked && { ...asked, eventsMs: Math.max(asked.eventsMs, oldestMs) };
      const judging = () => ({ approvals: deps.approvals.compiled(), nowMs: deps.clock() });
      const follower = await follow({ store: deps.store, filters: { ...filters, types }, judging }, from, deps.clock());
      const gap = asked !== undefined && asked.eventsMs < oldestMs ? gapFrame(asked.eventsMs, oldestMs) : '';
      const token = c.req.header('authorization')?.split(/ +/)[1] ?? '';
      const signal = AbortSignal.any([deps.closing, left.signal]);
      const frames = framesOf({
        deps,
        follower,
        gap,
        signal,
        isAllowed: async () => (await deps.tokens.find(token)) !== undefined,
      });
      return c.body(bodyOf(frames, left, release), 200, HEADERS) as never;
    } catch (error) {
      release();
      throw error;
    }
  });
}

function take(open: Map<string, number>, tokenId: string): () => void {
  const count = open.get(tokenId) ?? 0;
  if (count >= MAX_STREAMS) {
    throw new Problem('too-many-requests', `This token has ${MAX_STREAMS} streams open already.`, {
      headers: { 'retry-after': String(HEARTBEAT_MS / 1000) },
    });
  }
  open.set(tokenId, count + 1);
  let isOpen = true;
  return () => {
    if (!isOpen) return;
    isOpen = false;
    const rest = open.get(tokenId)! - 1;
    if (rest === 0) open.delete(tokenId);
    else open.set(tokenId, rest);
  };
}

type Session = {
  readonly deps: Deps;
  readonly follower: Follower;
  readonly gap: string;
  readonly signal: AbortSignal;
  /** The token may end while its stream runs. */
  readonly isAllowed: () => Promise<boolean>;
};

async function* framesOf({ deps, follower, gap, signal, isAllowed }: Session): AsyncGenerator<string> {
  const { clock, log } = deps;
  yield `: bintrail\nid: ${idOf(follower.position())}\n\n${gap}`;
  let beatMs = clock();
  while (!signal.aborted) {
    try {
      for await (const { name, data, position } of follower.poll()) {
        yield `event: ${name}\nid: ${idOf(position)}\ndata: ${JSON.stringify(data)}\n\n`;
        if (signal.aborted) return;
      }
    } catch (error) {
      if (!(error instanceof Transient)) {
        log.error({ err: error }, 'bug in a stream; it ends');
        return;
      }
      log.warn({ err: error }, 'the store was away during a stream; it goes on where it was');
    }
    if (clock() - beatMs >= HEARTBEAT_MS) {
      if (!(await isAllowed())) return;
      beatMs = clock();
      yield `: still here\nid: ${idOf(follower.position())}\n\n`;
    }
    if (!follower.isBehind()) await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** Asks for the next frame when the client took the last one: who reads slowly holds up nobody else. */
function bodyOf(
  frames: AsyncGenerator<string>,
  left: AbortController,
  release: () => void,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await frames.next();
        if (!done) return controller.enqueue(encoder.encode(value));
      } catch (error) {
        release();
        throw error;
      }
      release();
      controller.close();
    },
    async cancel() {
      release();
      left.abort();
      await frames.return(undefined);
    },
  });
}

function gapFrame(sinceMs: number, untilMs: number): string {
  return `event: gap\ndata: ${JSON.stringify({ since: rfc3339FromMs(sinceMs), until: rfc3339FromMs(untilMs) })}\n\n`;
}

const ms = z.int().min(0).max(8_640_000_000_000_000);
const positionSchema = z.tuple([z.literal(1), ms, ms]);

function idOf({ eventsMs, findingsMs }: Position): string {
  return Buffer.from(JSON.stringify([1, eventsMs, findingsMs])).toString('base64url');
}

function readPosition(id: string): Position | undefined {
  if (id === '') return undefined;
  const parsed = positionSchema.safeParse(parseJson(Buffer.from(id, 'base64url').toString()));
  if (!parsed.success) throw badInput('header', 'Last-Event-ID', 'not an id of this stream');
  return { eventsMs: parsed.data[1], findingsMs: parsed.data[2] };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
