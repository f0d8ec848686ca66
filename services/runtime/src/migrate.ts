/** Brings the store's tables up to date: applies `NNNN_name.sql` files in order, each of their statements once. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { type ClusterSchema, clusterMigrations, clusterStatements } from './cluster-schema.ts';
import { SetupError } from './errors.ts';
import type { Store } from './store.ts';

/** A migration file, cut into the statements that are applied one by one. */
export type Migration = {
  readonly version: number;
  readonly name: string;
  readonly sha256: string;
  readonly statements: readonly string[];
};

type AppliedStatement = { readonly version: number; readonly statement: number; readonly sha256: string };

const FILE_NAME = /^(\d{4})_([a-z0-9_]+)\.sql$/;

const JOURNAL = 'schema_migrations';
/** By another name, so that the two forms of the schema never meet in one database. */
const CLUSTER_JOURNAL = 'schema_migrations_of_cluster';

const journalTable = (name: string) => `CREATE TABLE IF NOT EXISTS ${name} (
  version UInt32,
  statement UInt32 COMMENT 'Position in the file, from 0.',
  name String,
  sha256 String COMMENT 'Of the whole file.',
  applied_at DateTime64(3, 'UTC')
) ENGINE = MergeTree ORDER BY (version, statement)`;

/**
 * Applies what is not applied yet, and answers how many statements that were. A crash at any point is mended by the
 * next call: statements are recorded after they ran, and a file that ran unrecorded is harmless a second time.
 * On a cluster every server has the tables afterwards, and knows what was applied.
 * @throws SetupError when an applied file was changed, the store was made by a newer version, or for the other form
 * @throws Transient when the store cannot be reached
 */
export async function migrate(store: Store, files: readonly Migration[], cluster?: ClusterSchema): Promise<number> {
  const migrations = cluster === undefined ? files : clusterMigrations(files, cluster);
  const journal = cluster === undefined ? JOURNAL : CLUSTER_JOURNAL;
  await refuseOtherForm(store, cluster === undefined ? CLUSTER_JOURNAL : JOURNAL);
  const table = journalTable(journal);
  for (const sql of cluster === undefined ? [table] : clusterStatements(table, cluster, new Set()))
    await store.command(sql);
  const applied = await store.query<AppliedStatement>(`SELECT version, statement, sha256 FROM ${journal}`);
  checkApplied(files, applied);
  const done = new Set(applied.map(({ version, statement }) => `${version}.${statement}`));
  let count = 0;
  for (const migration of migrations) {
    const isDone = (statement: number) => done.has(`${migration.version}.${statement}`);
    count += await apply(store, journal, migration, isDone);
  }
  return count;
}

/** Noted together: a note by itself costs as much as a statement. One that fails is noted with those before it. */
async function apply(
  store: Store,
  journal: string,
  { version, name, sha256, statements }: Migration,
  isDone: (statement: number) => boolean,
): Promise<number> {
  const notes: object[] = [];
  try {
    for (const [statement, sql] of statements.entries()) {
      if (isDone(statement)) continue;
      await store.command(sql);
      notes.push({ version, statement, name, sha256, applied_at: new Date().toISOString() });
    }
  } finally {
    if (notes.length > 0) await store.insertRows(journal, notes);
  }
  return notes.length;
}

async function refuseOtherForm(store: Store, other: string): Promise<void> {
  const sql = 'SELECT name FROM system.tables WHERE database = currentDatabase() AND name = {other:String}';
  if ((await store.query(sql, { other })).length === 0) return;
  const made =
    other === JOURNAL
      ? 'a single server, and CLICKHOUSE_URL names a cluster'
      : 'a cluster, and CLICKHOUSE_URL names none';
  throw new SetupError(`the store was made for ${made}`, 'add or take away ?cluster=, or name another database');
}

/** Reads a folder of migrations, in order. Throws for a stray file or a version that stands twice: those are bugs. */
export function readMigrations(folder: URL): Migration[] {
  const migrations = readdirSync(folder)
    .sort()
    .map((fileName): Migration => {
      const [, version, name] = FILE_NAME.exec(fileName) ?? [];
      if (version === undefined || name === undefined) throw new Error(`${fileName} is not named NNNN_name.sql`);
      const sql = readFileSync(new URL(fileName, folder), 'utf8');
      const sha256 = createHash('sha256').update(sql).digest('hex');
      return { version: Number(version), name, sha256, statements: splitStatements(sql).map(repeatable) };
    });
  for (const [index, { version }] of migrations.entries()) {
    if (migrations[index + 1]?.version === version) throw new Error(`two migrations have the version ${version}`);
  }
  return migrations;
}

/** Cuts SQL at each `;` that ends a line. Lines that begin with `--` are comments; a statement holds no such line end. */
export function splitStatements(sql: string): string[] {
  const code = sql.replaceAll(/^\s*--.*$/gm, '');
  const statements = code.split(/;[ \t]*$/m).map((statement) => statement.trim());
  return statements.filter((statement) => statement !== '');
}

function checkApplied(migrations: readonly Migration[], applied: readonly AppliedStatement[]): void {
  const known = new Map(migrations.map((migration) => [migration.version, migration]));
  for (const { version, sha256 } of applied) {
    const migration = known.get(version);
    if (migration === undefined) {
      const remedy = 'run the newer version again, or point this one to another store';
      throw new SetupError(`the store has migration ${version}, which this version does not know`, remedy);
    }
    if (migration.sha256 !== sha256) {
      const remedy = 'restore the file as it was released, and put the change into a new migration';
      throw new SetupError(`migration ${version} (${migration.name}) was changed after it was applied`, remedy);
    }
  }
}

const CREATE = /^(CREATE\s+(?:TABLE|VIEW|MATERIALIZED\s+VIEW))\s+(?!IF\s+NOT\s+EXISTS\b)/i;

const REPEATABLE = [
  /^CREATE\s+(TABLE|VIEW|MATERIALIZED\s+VIEW)\s+IF\s+NOT\s+EXISTS\s/i,
  /^DROP\s+(TABLE|VIEW)\s+IF\s+EXISTS\s/i,
  /^ALTER\s+TABLE\s+\w+\s+ADD\s+(COLUMN|INDEX|PROJECTION)\s+IF\s+NOT\s+EXISTS\s/i,
  /^ALTER\s+TABLE\s+\w+\s+(DROP|RENAME|COMMENT)\s+(COLUMN|INDEX|PROJECTION)\s+IF\s+EXISTS\s/i,
  /^ALTER\s+TABLE\s+\w+\s+MATERIALIZE\s+(INDEX|PROJECTION)\s+IF\s+EXISTS\s/i,
  /^ALTER\s+TABLE\s+\w+\s+MODIFY\s/i,
];

/** The statement in a form that may run twice; throws for one that has none, as a bug of its author. */
function repeatable(sql: string): string {
  const statement = sql.replace(CREATE, '$1 IF NOT EXISTS ');
  if (REPEATABLE.some((pattern) => pattern.test(statement))) return statement;
  throw new Error(`a crash may run this statement twice, write it with IF [NOT] EXISTS: ${sql.slice(0, 100)}`);
}
