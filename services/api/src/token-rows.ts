import { randomUUID } from 'node:crypto';
import { type RecordColumn, recordBlock } from '@bintrail/ingest/record-block.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import type { ApiRole } from './token-book.ts';

/** A row of `api_tokens`. A `revokedAtMs` still to come is the planned end of the token. */
export type TokenRow = {
  readonly id: string;
  readonly name: string;
  readonly role: ApiRole;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly createdAtMs: number;
  readonly createdBy: string;
  readonly revokedAtMs: number | null;
  readonly revision: number;
};

type SqlRow = {
  id: string;
  name: string;
  role: ApiRole;
  sha256: string;
  created_ms: string;
  created_by: string;
  revoked_ms: string | null;
  revision: string;
};

/** All rows, in the order they were written. */
export async function readTokenRows(store: Store): Promise<TokenRow[]> {
  const rows = await store.query<SqlRow>(
    `SELECT id, name, role, lower(hex(secret_sha256)) AS sha256, toUnixTimestamp64Milli(created_at) AS created_ms,
       created_by, toUnixTimestamp64Milli(revoked_at) AS revoked_ms, revision
     FROM api_tokens ORDER BY revision, created_at`,
  );
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    role: row.role,
    sha256: row.sha256,
    createdAtMs: Number(row.created_ms),
    createdBy: row.created_by,
    revokedAtMs: row.revoked_ms === null ? null : Number(row.revoked_ms),
    revision: Number(row.revision),
  }));
}

const COLUMNS: readonly RecordColumn<TokenRow>[] = [
  { name: 'id', type: 'String', of: (row) => Buffer.from(row.id) },
  { name: 'name', type: 'String', of: (row) => Buffer.from(row.name) },
  { name: 'role', type: 'LowCardinality(String)', of: (row) => Buffer.from(row.role) },
  { name: 'secret_sha256', type: 'FixedString(32)', of: (row) => Buffer.from(row.sha256, 'hex') },
  { name: 'created_at', type: "DateTime64(3, 'UTC')", of: (row) => BigInt(row.createdAtMs) },
  { name: 'created_by', type: 'String', of: (row) => Buffer.from(row.createdBy) },
  { name: 'revision', type: 'UInt64', of: (row) => BigInt(row.revision) },
];
// Left out for a token without an end: the column is then NULL.
const END: RecordColumn<TokenRow> = {
  name: 'revoked_at',
  type: "DateTime64(3, 'UTC')",
  of: (row) => BigInt(row.revokedAtMs ?? 0),
};

export async function insertTokenRow(store: Store, row: TokenRow): Promise<void> {
  const columns = row.revokedAtMs === null ? COLUMNS : [...COLUMNS, END];
  await store.insertNative('api_tokens', recordBlock(columns, [row]), randomUUID());
}
