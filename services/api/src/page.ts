/** Pages of a list: keyset cursors that belong to one list and one set of filters, and hold on to its window. */
import { createHash } from 'node:crypto';
import { z } from '@hono/zod-openapi';
import { badInput } from './problem.ts';
import { type Window, windowOf } from './time.ts';

const VERSION = 1;
const CHECK_BYTES = 12;
export const LIMIT_MAX = 1000;
export const LIMIT_DEFAULT = 100;

/** Spread into `querySchema({...})` of every list. */
export const pageParams = {
  limit: z
    .string()
    .regex(/^[1-9]\d{0,3}$/, `limit is a number from 1 to ${LIMIT_MAX}`)
    .transform(Number)
    .refine((limit) => limit <= LIMIT_MAX, `limit is a number from 1 to ${LIMIT_MAX}`)
    .optional()
    .openapi({ type: 'integer', minimum: 1, maximum: LIMIT_MAX, default: LIMIT_DEFAULT }),
  cursor: z
    .string()
    .max(4096)
    .optional()
    .openapi({ description: 'next_cursor of the page before, filters unchanged.' }),
};

/** The parsed query of a list. */
export type PageQuery = {
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
};

export type Page<Key> = {
  readonly limit: number;
  /** `since` and `until`, resolved when the first page was asked for: `now-1h` does not move between pages. */
  readonly window: Window;
  /** Key of the last row examined so far; undefined on the first page. */
  readonly after: Key | undefined;
  /** Cursor for the page after this key. */
  next(key: Key): string;
};

/**
 * Reads the paging part of a query. `list` names the list; with the filters it decides whose a cursor is. `key` checks
 * what comes back in one: a tampered or foreign cursor is a 400.
 */
export function openPage<Key>(
  list: string,
  query: PageQuery,
  key: z.ZodType<Key>,
  nowMs: number,
  defaultSince?: string,
): Page<Key> {
  const owner = ownerOf(list, query);
  const state = query.cursor === undefined ? undefined : readCursor(query.cursor, owner, key);
  const window = state?.window ?? windowOf(query, nowMs, defaultSince);
  return {
    limit: query.limit ?? LIMIT_DEFAULT,
    window,
    after: state?.after,
    next: (after) => writeCursor(owner, window, after),
  };
}

function ownerOf(list: string, query: PageQuery): string {
  const { limit: _limit, cursor: _cursor, ...filters } = query;
  return JSON.stringify([list, Object.entries(filters).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

function writeCursor(owner: string, window: Window, after: unknown): string {
  const body = Buffer.from(JSON.stringify([VERSION, String(window.sinceNs), String(window.untilNs), after]));
  return Buffer.concat([checkOf(owner, body), body]).toString('base64url');
}

const NS = z.string().regex(/^\d{1,19}$/);

function readCursor<Key>(text: string, owner: string, key: z.ZodType<Key>): { window: Window; after: Key } {
  const bytes = Buffer.from(text, 'base64url');
  const [check, body] = [bytes.subarray(0, CHECK_BYTES), bytes.subarray(CHECK_BYTES)];
  if (!check.equals(checkOf(owner, body))) throw foreignCursor();
  const parsed = z.tuple([z.literal(VERSION), NS, NS, key]).safeParse(parseJson(body));
  if (!parsed.success) throw foreignCursor();
  const [, sinceNs, untilNs, after] = parsed.data;
  return { window: { sinceNs: BigInt(sinceNs), untilNs: BigInt(untilNs) }, after: after as Key };
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}

// Not a signature: whoever forges one reads from a place in a list they may read anyway.
function checkOf(owner: string, body: Uint8Array): Buffer {
  return createHash('sha256').update(owner).update('\0').update(body).digest().subarray(0, CHECK_BYTES);
}

function foreignCursor(): Error {
  return badInput('query', 'cursor', 'not a cursor of this list with these filters; start again without one');
}
