import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { createTable, storeColumns } from '@bintrail/schemas/clickhouse.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import type { EventDefinition } from '@bintrail/schemas/field.ts';
import { startTestEngine, type TestEngine } from '@bintrail/standalone/clickhouse-host.fixture.ts';
import { SetupError, Transient } from './errors.ts';
import { type Migration, migrate, readMigrations, splitStatements } from './migrate.ts';
import { openStore, type Store } from './store.ts';

const MIGRATIONS = readMigrations(new URL('../../../schemas/migrations/', import.meta.url));
const STATEMENTS = MIGRATIONS.flatMap((migration) => migration.statements);

function readFiles(dir: string, files: Readonly<Record<string, string>>): Migration[] {
  for (const [name, sql] of Object.entries(files)) writeFileSync(join(dir, name), sql);
  return readMigrations(pathToFileURL(`${dir}/`));
}

describe('migrate', () => {
  let engine: TestEngine;
  let store: Store;
  let dir: string;
  before(async () => {
    engine = await startTestEngine();
    store = openStore(engine);
  });
  after(async () => {
    await store.close();
    await engine.remove();
  });
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'bintrail-migrate-'));
  });
  afterEach(async () => {
    rmSync(dir, { recursive: true });
    for (const { name } of await store.query<{ name: string }>(
      "SELECT name FROM system.tables WHERE database = 'bintrail' ORDER BY engine = 'MaterializedView' DESC",
    )) {
      await store.command(`DROP TABLE ${name} SYNC`);
    }
  });

  const columns = (table: string) =>
    store.query('SELECT name, type, comment FROM system.columns WHERE table = {table:String} ORDER BY position', {
      table,
    });

  it('gives an empty store the tables of every event, column for column', async () => {
    assert.equal(await migrate(store, MIGRATIONS), STATEMENTS.length);
    for (const definition of Object.values(EVENTS) as EventDefinition[]) {
      assert.deepEqual(await columns(definition.table), storeColumns(definition), definition.table);
    }
  });

  it('does nothing the second time', async () => {
    await migrate(store, MIGRATIONS);
    const before = await store.query('SELECT * FROM schema_migrations ORDER BY ALL');
    assert.equal(await migrate(store, MIGRATIONS), 0);
    assert.deepEqual(await store.query('SELECT * FROM schema_migrations ORDER BY ALL'), before);
  });

  it('keeps tokens of past inserts on every table that a plan reaches, views included', async () => {
    await migrate(store, MIGRATIONS);
    const forgetful = await store.query(`SELECT name FROM system.tables
      WHERE database = 'bintrail' AND engine LIKE '%MergeTree'
        AND NOT engine_full LIKE '%non_replicated_deduplication_window = 10000%'
        AND name NOT IN ('schema_migrations', 'finding_actions', 'approval_revisions', 'audit_log', 'api_tokens')`);
    assert.deepEqual(forgetful, []);
  });

  for (const stored of [false, true]) {
    it(`goes on after a crash at any statement, ${stored ? 'after' : 'before'} it took effect`, async () => {
      let left = 0;
      const breaking: Store = {
        ...store,
        async command(sql) {
          left -= 1;
          if (left !== 0 || stored) await store.command(sql);
          if (left === 0) throw new Transient('crash');
        },
      };
      const finished = async () => {
        // The journal's own statement, one that is applied, and one that breaks off.
        left = 3;
        return await migrate(breaking, MIGRATIONS).then(
          () => true,
          (error: unknown) => !(error instanceof Transient),
        );
      };
      let crashes = 0;
      while (!(await finished())) crashes += 1;
      assert.equal(crashes, STATEMENTS.length - 1);
      assert.equal(await migrate(store, MIGRATIONS), 0);
    });
  }

  it('goes on after a crash at the end of any file, before anything of it was recorded', async () => {
    for (const count of MIGRATIONS.keys()) {
      const crashing: Store = { ...store, insertRows: async () => assert.fail('crash') };
      await assert.rejects(migrate(crashing, MIGRATIONS.slice(0, count + 1)), /crash/);
      assert.equal(await migrate(store, MIGRATIONS.slice(0, count + 1)), MIGRATIONS[count]!.statements.length);
    }
    for (const definition of Object.values(EVENTS) as EventDefinition[])
      assert.deepEqual(await columns(definition.table), storeColumns(definition), definition.table);
  });

  it('applies what is new, in the order of the numbers', async () => {
    const first = { '0001_a.sql': 'CREATE TABLE a (x UInt8) ENGINE = MergeTree ORDER BY x;' };
    assert.equal(await migrate(store, readFiles(dir, first)), 1);
    const second = { '0002_b.sql': '-- adds y\nALTER TABLE a ADD COLUMN IF NOT EXISTS y UInt8;\n' };
    assert.equal(await migrate(store, readFiles(dir, second)), 1);
    assert.deepEqual(await columns('a'), [
      { name: 'x', type: 'UInt8', comment: '' },
      { name: 'y', type: 'UInt8', comment: '' },
    ]);
  });

  it('refuses a file that was changed after it was applied', async () => {
    const sql = 'CREATE TABLE a (x UInt8) ENGINE = MergeTree ORDER BY x;\n';
    await migrate(store, readFiles(dir, { '0001_a.sql': sql }));
    await assert.rejects(migrate(store, readFiles(dir, { '0001_a.sql': `${sql}-- changed` })), SetupError);
    await migrate(store, readFiles(dir, { '0001_a.sql': sql }));
  });

  it('refuses a store that a newer version made', async () => {
    await migrate(store, readFiles(dir, { '0007_a.sql': 'CREATE TABLE a (x UInt8) ENGINE = MergeTree ORDER BY x;' }));
    rmSync(join(dir, '0007_a.sql'));
    await assert.rejects(migrate(store, readFiles(dir, {})), SetupError);
  });
});

describe('readMigrations', () => {
  it('refuses stray files, doubled numbers, and statements that a crash could run twice', () => {
    const good = { '0001_a.sql': 'CREATE TABLE a (x UInt8) ENGINE = MergeTree ORDER BY x;' };
    const bugs: Record<string, string>[] = [
      { 'b.sql': 'DROP TABLE IF EXISTS a;' },
      { '0001_b.sql': 'DROP TABLE IF EXISTS a;' },
      { '0002_b.sql': 'ALTER TABLE a ADD COLUMN y UInt8;' },
      { '0002_b.sql': 'INSERT INTO a VALUES (1);' },
    ];
    for (const bug of bugs) {
      const dir = mkdtempSync(join(tmpdir(), 'bintrail-migrate-'));
      assert.equal(readFiles(dir, good).length, 1);
      assert.throws(() => readFiles(dir, bug));
      rmSync(dir, { recursive: true });
    }
  });

  it('makes every event table as its definition says, for as long as its migration says', () => {
    const retentionDays = (sql: string) => Number(/INTERVAL (\d+) DAY/.exec(sql)?.[1]);
    for (const definition of Object.values(EVENTS)) {
      const head = `CREATE TABLE IF NOT EXISTS ${definition.table} (`;
      const statement = STATEMENTS.find((sql) => sql.startsWith(head)) ?? assert.fail(`nothing makes ${head}`);
      const created = createTable(definition, retentionDays(statement)).replace(/;$/, '');
      // A later migration may have changed what is said of a column; the case above holds the two together.
      const withoutComments = (sql: string) => sql.replaceAll(/ COMMENT '(?:[^']|'')*'/g, '');
      // Columns that came later are not in it: the same case has them.
      const added = STATEMENTS.filter((sql) => sql.startsWith(`ALTER TABLE ${definition.table}\n`));
      const columns = added.flatMap((sql) => sql.match(/(?<=ADD COLUMN IF NOT EXISTS )\w+ [\w()]+/g) ?? []);
      const whole = withoutComments(created).replace('CREATE TABLE', 'CREATE TABLE IF NOT EXISTS');
      const original = columns.reduce((sql, column) => sql.replace(`,\n  ${column}`, ''), whole);
      assert.equal(withoutComments(statement), original);
    }
  });
});

describe('splitStatements', () => {
  it('cuts at a semicolon that ends a line, and leaves out comments', () => {
    const sql = "-- one; two;\nCREATE a\n  -- inside;\n (x COMMENT 'a; b');  \n\nCREATE b;\r\n;\nCREATE c";
    assert.deepEqual(splitStatements(sql), ["CREATE a\n\n (x COMMENT 'a; b')", 'CREATE b', 'CREATE c']);
    assert.deepEqual(splitStatements('-- nothing\n'), []);
  });
});
