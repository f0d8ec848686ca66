import { randomUUID } from 'node:crypto';
import type { Store } from '@bintrail/runtime/store.ts';
import { rfc3339FromMs, sqlTime, type Window } from './time.ts';
import type { Actor } from './token-book.ts';

/** A change somebody makes: `action` on `object` (`approval:<id>`, `finding:<id>`, `token:<id>`). */
export type Change = { readonly action: string; readonly object: string; readonly detail: object };

/** A row of `audit_log`. */
export type AuditRow = {
  readonly at: string;
  readonly id: string;
  readonly actor: string;
  readonly token_id: string;
  readonly role: string;
  readonly action: string;
  readonly object: string;
  readonly detail: Readonly<Record<string, unknown>>;
};

/**
 * Stores what is about to change. Written before the change itself: nothing changes without a row, and an attempt that
 * then failed leaves one too.
 */
export async function insertAuditRows(
  store: Store,
  { name, tokenId, role }: Actor,
  atMs: number,
  changes: readonly Change[],
): Promise<void> {
  const at = new Date(atMs).toISOString();
  const actor = `${name}/${tokenId}`;
  await store.insertRows(
    'audit_log',
    changes.map(({ action, object, detail }) => ({
      at,
      id: randomUUID(),
      actor,
      role,
      action,
      object,
      detail: JSON.stringify(detail),
    })),
  );
}

/** `at` in milliseconds and id: where a page ends. */
export type AuditKey = readonly [atMs: number, id: string];

export type AuditQuestion = {
  readonly window: Window;
  readonly after: AuditKey | undefined;
  readonly limit: number;
  readonly object?: string | undefined;
  readonly action?: string | undefined;
  readonly actor?: string | undefined;
};

type SqlRow = {
  at_ms: string;
  id: string;
  actor: string;
  role: string;
  action: string;
  object: string;
  detail: string;
};

/** Newest first. `key` of each row is where a page after it would go on. */
export async function readAuditRows(
  store: Store,
  { window, after, limit, object, action, actor }: AuditQuestion,
): Promise<{ readonly key: AuditKey; readonly row: AuditRow }[]> {
  const conditions = ["at >= {since:DateTime64(9, 'UTC')}", "at < {until:DateTime64(9, 'UTC')}"];
  if (object !== undefined) conditions.push('object = {object:String}');
  if (action !== undefined) conditions.push('action = {action:String}');
  if (actor !== undefined) conditions.push("startsWith(actor, concat({actor:String}, '/'))");
  if (after !== undefined) conditions.push('(at_ms, id) < ({after_ms:Int64}, {after_id:String})');
  const rows = await store.query<SqlRow>(
    `SELECT toUnixTimestamp64Milli(at) AS at_ms, id, actor, role, action, object, detail FROM audit_log
     WHERE ${conditions.join(' AND ')} ORDER BY at_ms DESC, id DESC LIMIT {limit:UInt32}`,
    {
      since: sqlTime(window.sinceNs),
      until: sqlTime(window.untilNs),
      limit,
      ...(object === undefined ? {} : { object }),
      ...(action === undefined ? {} : { action }),
      ...(actor === undefined ? {} : { actor }),
      ...(after === undefined ? {} : { after_ms: after[0], after_id: after[1] }),
    },
  );
  return rows.map((row) => ({ key: [Number(row.at_ms), row.id], row: toAuditRow(row) }));
}

function toAuditRow({ at_ms, actor, detail, ...row }: SqlRow): AuditRow {
  const slash = actor.lastIndexOf('/');
  const [name, token_id] = [actor.slice(0, slash), actor.slice(slash + 1)];
  return { ...row, at: rfc3339FromMs(Number(at_ms)), actor: name, token_id, detail: JSON.parse(detail) };
}
