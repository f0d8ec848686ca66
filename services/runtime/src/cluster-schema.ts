/**
 * The same migrations for a ClickHouse cluster. What is written per node becomes a table `<name>_local` on each shard,
 * replicated within it, and a Distributed table that keeps the name: nothing that reads or writes knows the difference.
 * Records without a node (approvals, tokens, the audit log) are few, and whole on every server.
 *
 * Rows are placed by node, so that what one probe sent, and what the views make of it, meets on one shard. Distributed
 * hands an insert's deduplication token on to each shard, whichever server took the insert (measured, 26.7).
 */
import type { Migration } from './migrate.ts';

export type ClusterSchema = {
  /** Name of the cluster in the servers' `remote_servers`, letters, digits and _; DDL goes to all of it, by Keeper. */
  readonly cluster: string;
  /** How long a token is remembered: as long as the bus may hand out the same plan again. */
  readonly deduplicationSeconds: number;
};

/** The migrations with each statement as the statements a cluster needs in its place. Throws for one it does not know. */
export function clusterMigrations(migrations: readonly Migration[], schema: ClusterSchema): Migration[] {
  const sharded = shardedTables(migrations.flatMap(({ statements }) => statements));
  return migrations.map((migration) => ({
    ...migration,
    statements: migration.statements.flatMap((sql) => clusterStatements(sql, schema, sharded)),
  }));
}

const CREATE_TABLE =
  /^CREATE TABLE IF NOT EXISTS (\w+) (\([\s\S]*\)\s*)ENGINE = (\w*MergeTree)\b(?:\((\w+)\))?([\s\S]*)$/;
const CREATE_VIEW = /^CREATE MATERIALIZED VIEW IF NOT EXISTS (\w+) TO (\w+) AS\b([\s\S]*)$/;
const CREATE_PLAIN_VIEW = /^CREATE VIEW IF NOT EXISTS (\w+)/;
const ALTER = /^ALTER TABLE (\w+)\s+([\s\S]*)$/;
const DROP = /^DROP (TABLE|VIEW) IF EXISTS (\w+)$/;
const HAS_NODE = /^\s*node LowCardinality\(String\)/m;
const WINDOW = /\bnon_replicated_deduplication_window = (\d+)/;

/** Tables with a node in them, and all that views fill from these: a shard computes its own share of a roll-up. */
function shardedTables(statements: readonly string[]): ReadonlySet<string> {
  const withNode = statements.flatMap((sql) => {
    const [, name, columns] = CREATE_TABLE.exec(sql) ?? [];
    return name !== undefined && HAS_NODE.test(columns!) ? [name] : [];
  });
  const targets = statements.flatMap((sql) => CREATE_VIEW.exec(sql)?.[2] ?? []);
  return new Set([...withNode, ...targets]);
}

/** One statement as those that take its place; `sharded` are the tables that each shard holds a share of. */
export function clusterStatements(sql: string, schema: ClusterSchema, sharded: ReadonlySet<string>): string[] {
  const on = `ON CLUSTER '${schema.cluster}'`;
  const [, table, columns, engine, version, rest] = CREATE_TABLE.exec(sql) ?? [];
  if (table !== undefined)
    return createTable({ table, columns: columns!, engine: engine!, version, rest: rest! }, schema, sharded);
  const [, view, target, query] = CREATE_VIEW.exec(sql) ?? [];
  if (view !== undefined) {
    const local = ofItsShard(query!, sharded);
    return [`CREATE MATERIALIZED VIEW IF NOT EXISTS ${view} ${on} TO ${target}_local AS${local}`];
  }
  if (CREATE_PLAIN_VIEW.test(sql)) return [sql.replace(CREATE_PLAIN_VIEW, `$& ${on}`)];
  const [, altered, change] = ALTER.exec(sql) ?? [];
  if (altered !== undefined) return alterTable(altered, replicatedSettings(change!, schema), on, sharded);
  const [, what, dropped] = DROP.exec(sql) ?? [];
  if (dropped === undefined) throw new Error(`no form of this statement for a cluster: ${sql.slice(0, 100)}`);
  const names = sharded.has(dropped) ? [dropped, `${dropped}_local`] : [dropped];
  return names.map((name) => `DROP ${what} IF EXISTS ${name} ${on} SYNC`);
}

type Table = {
  readonly table: string;
  readonly columns: string;
  readonly engine: string;
  /** Column by which a ReplacingMergeTree keeps the last row of a key. */
  readonly version: string | undefined;
  readonly rest: string;
};

function createTable(
  { table, columns, engine, version, rest }: Table,
  schema: ClusterSchema,
  sharded: ReadonlySet<string>,
): string[] {
  const on = `ON CLUSTER '${schema.cluster}'`;
  const tail = replicatedSettings(rest, schema);
  const last = version === undefined ? '' : `, ${version}`;
  if (!sharded.has(table)) {
    // One path for all servers, so that each of them holds every row.
    const replicated = `Replicated${engine}('/clickhouse/tables/all/{database}/${table}', '{shard}-{replica}'${last})`;
    return [`CREATE TABLE IF NOT EXISTS ${table} ${on} ${columns}ENGINE = ${replicated}${tail}`];
  }
  const replicated = `Replicated${engine}('/clickhouse/tables/{shard}/{database}/${table}_local', '{replica}'${last})`;
  // A roll-up without a node is only ever written by the views of its shard.
  const key = HAS_NODE.test(columns) ? 'cityHash64(node)' : 'rand()';
  const distributed = `Distributed('${schema.cluster}', currentDatabase(), '${table}_local', ${key})`;
  return [
    `CREATE TABLE IF NOT EXISTS ${table}_local ${on} ${columns}ENGINE = ${replicated}${tail}`,
    `CREATE TABLE IF NOT EXISTS ${table} ${on} AS ${table}_local ENGINE = ${distributed}`,
  ];
}

/** A view's query over the rows of the shard it runs on, under the names it knows them by. */
function ofItsShard(query: string, sharded: ReadonlySet<string>): string {
  return query.replace(/\b(FROM|JOIN) (\w+)( AS \w+)?/g, (whole, word, name, alias) =>
    sharded.has(name) ? `${word} ${name}_local${alias ?? ` AS ${name}`}` : whole,
  );
}

const OF_COLUMNS = /^(ADD|DROP|RENAME|MODIFY|COMMENT) COLUMN\b/;
/** How a column is packed means nothing to a table that stores no rows. */
const OF_CODECS = /^MODIFY COLUMN \w+ CODEC\b/;

/** Columns are those of both tables; indexes, projections, settings and TTLs those of the one that holds the rows. */
function alterTable(table: string, change: string, on: string, sharded: ReadonlySet<string>): string[] {
  if (!sharded.has(table)) return [`ALTER TABLE ${table} ${on} ${change}`];
  const local = `ALTER TABLE ${table}_local ${on} ${change}`;
  const ofBoth = OF_COLUMNS.test(change) && !OF_CODECS.test(change);
  return ofBoth ? [local, `ALTER TABLE ${table} ${on} ${withoutPlace(change)}`] : [local];
}

/** A column's codec and TTL mean nothing to a table that stores no rows. */
function withoutPlace(change: string): string {
  return change.replace(/ (CODEC|TTL)\b[^,]*$/, '');
}

/** By default a Replicated table forgets a token after an hour, however few there were. */
function replicatedSettings(sql: string, { deduplicationSeconds }: ClusterSchema): string {
  return sql.replace(
    WINDOW,
    `replicated_deduplication_window = $1, replicated_deduplication_window_seconds = ${deduplicationSeconds}`,
  );
}
