import { randomUUID } from 'node:crypto';
import { type RecordColumn, recordBlock } from '@bintrail/ingest/record-block.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import type { PolicyRecord } from '@bintrail/schemas/policy.ts';

export const ACTIONS = ['acknowledge', 'resolve'] as const;
export type ActionKind = (typeof ACTIONS)[number];

/** A row of `finding_actions`. */
export type ActionRow = {
  readonly revision: number;
  readonly finding_id: string;
  readonly action: ActionKind;
  readonly reason: string;
  readonly actor: string;
  readonly atMs: number;
};

const COLUMNS: readonly RecordColumn<ActionRow>[] = [
  { name: 'revision', type: 'UInt64', of: (row) => BigInt(row.revision) },
  { name: 'finding_id', type: 'FixedString(32)', of: (row) => Buffer.from(row.finding_id, 'hex') },
  { name: 'action', type: 'LowCardinality(String)', of: (row) => Buffer.from(row.action) },
  { name: 'reason', type: 'String', of: (row) => Buffer.from(row.reason) },
  { name: 'actor', type: 'String', of: (row) => Buffer.from(row.actor) },
  { name: 'at', type: "DateTime64(3, 'UTC')", of: (row) => BigInt(row.atMs) },
];

/** At least one row. All of them or none are stored. */
export async function insertActionRows(store: Store, rows: readonly ActionRow[]): Promise<void> {
  await store.insertNative('finding_actions', recordBlock(COLUMNS, rows), randomUUID());
}

/** Highest revision of any action; 0 before the first. */
export async function lastActionRevision(store: Store): Promise<number> {
  const [row] = await store.query<{ last: string }>('SELECT max(revision) AS last FROM finding_actions');
  return Number(row?.last ?? 0);
}

type SqlRow = Omit<ActionRow, 'revision' | 'atMs'> & { revision: string; at_ms: string };

const SELECT = `SELECT revision, lower(hex(finding_id)) AS id, action, reason, actor,
  toUnixTimestamp64Milli(at) AS at_ms FROM finding_actions`;

/** All actions on these findings, by finding id, oldest first. */
export async function readActions(store: Store, findingIds: readonly string[]): Promise<Map<string, ActionRow[]>> {
  const rows = await store.query<SqlRow & { id: string }>(
    `${SELECT} WHERE finding_id IN (SELECT toFixedString(unhex(arrayJoin({ids:Array(String)})), 32)) ORDER BY revision`,
    { ids: findingIds },
  );
  return Map.groupBy(rows.map(toActionRow), ({ finding_id }) => finding_id);
}

function toActionRow({ id, revision, at_ms, action, reason, actor }: SqlRow & { id: string }): ActionRow {
  return { revision: Number(revision), finding_id: id, action, reason, actor, atMs: Number(at_ms) };
}

/** The newest action on every finding, as detect and notify read it from `bintrail.policy`. */
export async function newestActionRecords(store: Store): Promise<PolicyRecord[]> {
  const rows = await store.query<{ id: string; last: string; action: ActionKind; episode: string; at_ms: string }>(
    `SELECT lower(hex(finding_id)) AS id, max(revision) AS last, argMax(action, revision) AS action,
       countIf(finding_actions.action = 'resolve') AS episode,
       toUnixTimestamp64Milli(argMax(at, revision)) AS at_ms
     FROM finding_actions GROUP BY finding_id`,
  );
  return rows.map(({ id, last, action, episode, at_ms }) =>
    actionRecord({ finding_id: id, revision: Number(last), action, atMs: Number(at_ms) }, Number(episode)),
  );
}

/** An action as a record of the bus; `episode` counts the resolutions up to and with it. */
export function actionRecord(
  { finding_id, revision, action, atMs }: Pick<ActionRow, 'finding_id' | 'revision' | 'action' | 'atMs'>,
  episode: number,
): PolicyRecord {
  return { kind: 'action', revision, finding_id, action, episode, at: new Date(atMs).toISOString() };
}
