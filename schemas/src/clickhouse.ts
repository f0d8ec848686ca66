/** How events are stored in ClickHouse: column names and types, in the order the Native block is written. */
import type { EventDefinition, Kind } from './field.ts';

export type StoreColumn = { readonly name: string; readonly type: string; readonly comment: string };

const TYPES: Record<Kind, string> = {
  u8: 'UInt8',
  u16: 'UInt16',
  u32: 'UInt32',
  u64: 'UInt64',
  i32: 'Int32',
  time: "DateTime64(9, 'UTC')",
  text: 'LowCardinality(String)',
  bytes: 'String',
  digest: 'FixedString(32)',
};

/** Columns every event table has in front: the message header, and when the plan took it in. */
export const HEADER_COLUMNS: readonly StoreColumn[] = [
  { name: 'node', type: 'LowCardinality(String)', comment: 'Node the event happened on.' },
  { name: 'boot', type: 'LowCardinality(String)', comment: 'boot_id of its kernel.' },
  { name: 'probe_epoch', type: 'UInt64', comment: 'Start of the probe, milliseconds since the epoch.' },
  { name: 'ingested_at', type: "DateTime64(3, 'UTC')", comment: 'Time of the plan that stored it.' },
];

/** All columns of an event's table, in order. */
export function storeColumns(definition: EventDefinition): StoreColumn[] {
  const fields = definition.fields.map(({ name, kind, doc }) => ({ name, type: TYPES[kind], comment: doc }));
  return [...HEADER_COLUMNS, ...fields];
}

// One plan is one day of ingest, so a replayed block always meets the same partition; 10,000 blocks is how far back
// ClickHouse remembers deduplication tokens.
const SETTINGS = 'ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000';

/** The CREATE TABLE statement of an event, as the baseline migration holds it. */
export function createTable(definition: EventDefinition, retentionDays: number): string {
  const columns = storeColumns(definition).map(
    ({ name, type, comment }) => `  ${name} ${type} COMMENT '${comment.replaceAll("'", "''")}'`,
  );
  return [
    `CREATE TABLE ${definition.table} (`,
    `${columns.join(',\n')}`,
    ')',
    `ENGINE = ${definition.engine ?? 'MergeTree'}`,
    'PARTITION BY toYYYYMMDD(ingested_at)',
    `ORDER BY (${definition.orderBy.join(', ')})`,
    `TTL toDateTime(ingested_at) + INTERVAL ${retentionDays} DAY DELETE`,
    `SETTINGS ${SETTINGS};`,
  ].join('\n');
}
