import type { Store } from '@bintrail/runtime/store.ts';
import { type Approval, approvalSchema } from '@bintrail/schemas/approval.ts';
import type { PolicyRecord } from '@bintrail/schemas/policy.ts';

/** An approval as one change to it left it. */
export type ApprovalState = { readonly revision: number; readonly deleted: boolean; readonly approval: Approval };

/** A row of `approval_revisions`: one change to one approval. */
export type ApprovalRow = ApprovalState & { readonly atMs: number };

type SqlRow = { revision: string; deleted: number; approval: string; at_ms: string };

/** The newest row of every approval. */
export async function readApprovalRows(store: Store): Promise<ApprovalRow[]> {
  const rows = await store.query<SqlRow>(
    `SELECT revision, deleted, approval, toUnixTimestamp64Milli(at) AS at_ms
     FROM approval_revisions ORDER BY revision DESC LIMIT 1 BY id`,
  );
  return rows.map((row) => ({
    revision: Number(row.revision),
    deleted: row.deleted === 1,
    approval: approvalSchema.parse(JSON.parse(row.approval)),
    atMs: Number(row.at_ms),
  }));
}

export async function insertApprovalRow(
  store: Store,
  { revision, deleted, approval, atMs }: ApprovalRow,
): Promise<void> {
  await store.insertRows('approval_revisions', [
    {
      revision,
      id: approval.id,
      deleted: deleted ? 1 : 0,
      approval: JSON.stringify(approval),
      at: new Date(atMs).toISOString(),
    },
  ]);
}

/** The row as detect reads it from `bintrail.policy`. */
export function approvalRecord({ revision, deleted, approval }: ApprovalState): PolicyRecord {
  return { kind: 'approval', revision, deleted, approval };
}
