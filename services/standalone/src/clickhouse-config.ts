/** What the embedded engine is told: one file that is its server configuration and its users at once. */

import { createHash } from 'node:crypto';

export type EngineConfig = {
  /** The name this configuration is stored under, as it points to itself for its users. */
  readonly fileName: string;
  /** Of user `bintrail`; hex or base64url, so that it needs no escaping anywhere. */
  readonly password: string;
  readonly memoryLimitBytes: number;
  readonly logFile: string;
};

const MEBIBYTE = 1024 * 1024;

// The engine runs twice as many merges as it has threads for them, and makes only small ones, or no mutation at all,
// while fewer than a set number of these places are free: the defaults of 8 and 20 would always hold with 4 threads.
const MERGE_THREADS = 4;

/**
 * A quarter of the machine, in bytes, as the engine is a guest beside what it watches; at most 4 GiB, of which a
 * 64 MiB block with its views and merges takes a fraction, at least 1 GiB, of which it needs 0.2 when idle.
 * `constrainedBytes` is the limit of the cgroup, 0 when it has none.
 */
export function memoryLimitBytes(totalBytes: number, constrainedBytes: number): number {
  const availableBytes = constrainedBytes > 0 ? Math.min(totalBytes, constrainedBytes) : totalBytes;
  return Math.min(4096 * MEBIBYTE, Math.max(1024 * MEBIBYTE, Math.floor(availableBytes / 4)));
}

/** What the store is made of. None of them reaches a file outside the data folder, a socket or another server. */
const TABLE_ENGINES = ['MergeTree', 'ReplacingMergeTree', 'SummingMergeTree', 'AggregatingMergeTree'];

/** What migrations compare with and health answers show; the engine leaves out rows of what the user may not see. */
const SYSTEM_TABLES = [
  'columns',
  'data_skipping_indices',
  'databases',
  'disks',
  'events',
  'merges',
  'metrics',
  'mutations',
  'parts',
  'processes',
  'projections',
  'tables',
];

// DROP DATABASE is left out: with it the database could be made anew over a folder of the machine (Filesystem engine).
const DATABASE_RIGHTS = [
  'SELECT, INSERT, ALTER, TRUNCATE, OPTIMIZE, SHOW',
  'CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW',
].join(', ');

function grants(): string[] {
  return [
    `GRANT ${DATABASE_RIGHTS} ON bintrail.*`,
    ...TABLE_ENGINES.map((engine) => `GRANT TABLE ENGINE ON ${engine}`),
    ...SYSTEM_TABLES.map((table) => `GRANT SELECT ON system.${table}`),
  ];
}

/**
 * Only a request with the password in its `Authorization` header finds the query handler at all: the engine's command
 * line needs a `default` user without a password, and `?user=default` would let anyone on the machine be it.
 */
function handlers(password: string): string {
  const authorization = `Basic ${Buffer.from(`bintrail:${password}`).toString('base64')}`;
  return `<http_handlers>
    <rule><url>/ping</url><handler><type>ping</type></handler></rule>
    <rule>
      <url>/</url>
      <headers><Authorization>${authorization}</Authorization></headers>
      <handler><type>dynamic_query_handler</type><query_param_name>query</query_param_name></handler>
    </rule>
  </http_handlers>`;
}

/**
 * The configuration in ClickHouse's XML, to be stored under `fileName`. No system log tables are named, so none are
 * kept; no port but the one on the command line; no `default` database, which would show the working folder's files as
 * tables. What an insert acknowledges is on the disk (fsync: 0.6 ms a part, measured), a power cut included.
 */
export function engineConfig({ fileName, password, memoryLimitBytes, logFile }: EngineConfig): string {
  const limits = '<networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>';
  const queries = grants().map((grant) => `<query>${grant}</query>`);
  return `<clickhouse>
  <users_config>${fileName}</users_config>
  <default_database></default_database>
  <database>system</database>
  <log-level>error</log-level>
  <logger><log>${escapeXml(logFile)}</log><size>4M</size><count>2</count></logger>
  <max_server_memory_usage>${memoryLimitBytes}</max_server_memory_usage>
  <mark_cache_size>${Math.floor(memoryLimitBytes / 8)}</mark_cache_size>
  <index_mark_cache_size>${Math.floor(memoryLimitBytes / 16)}</index_mark_cache_size>
  <primary_index_cache_size>${Math.floor(memoryLimitBytes / 16)}</primary_index_cache_size>
  <memory_worker_period_ms>1000</memory_worker_period_ms>
  <background_schedule_pool_size>8</background_schedule_pool_size>
  <background_pool_size>${MERGE_THREADS}</background_pool_size>
  <merge_tree>
    <fsync_after_insert>1</fsync_after_insert>
    <fsync_part_directory>1</fsync_part_directory>
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>${MERGE_THREADS}</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
    <number_of_free_entries_in_pool_to_execute_mutation>${MERGE_THREADS}</number_of_free_entries_in_pool_to_execute_mutation>
  </merge_tree>
  ${handlers(password)}
  <profiles><default>
    <implicit_select>0</implicit_select><allow_introspection_functions>0</allow_introspection_functions>
    <max_memory_usage>${Math.floor(memoryLimitBytes / 2)}</max_memory_usage>
  </default></profiles>
  <quotas><default></default></quotas>
  <users>
    <default>
      <no_password/>${limits}
      <grants><query>GRANT SYSTEM LISTEN ON *.*</query></grants>
    </default>
    <bintrail>
      <password_sha256_hex>${createHash('sha256').update(password).digest('hex')}</password_sha256_hex>${limits}
      <grants>${queries.join('')}</grants>
    </bintrail>
  </users>
</clickhouse>
`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
