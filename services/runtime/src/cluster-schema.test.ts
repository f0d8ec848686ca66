import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clusterMigrations } from './cluster-schema.ts';
import { readMigrations } from './migrate.ts';

const SCHEMA = { cluster: 'fleet', deduplicationSeconds: 604_800 };
const MIGRATIONS = readMigrations(new URL('../../../schemas/migrations/', import.meta.url));

function rendered(...statements: string[]): string[] {
  const [migration] = clusterMigrations([{ version: 1, name: 'one', sha256: '', statements }], SCHEMA);
  return [...migration!.statements];
}

const EVENTS = `CREATE TABLE IF NOT EXISTS events (
  node LowCardinality(String),
  n UInt64
)
ENGINE = MergeTree
ORDER BY n
SETTINGS non_replicated_deduplication_window = 10000`;
const COUNTS = `CREATE TABLE IF NOT EXISTS counts (
  n SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree ORDER BY n`;
const VIEW = 'CREATE MATERIALIZED VIEW IF NOT EXISTS counts_from_events TO counts AS SELECT n FROM events AS e';

describe('the schema of a cluster', () => {
  it('shards what has a node, and keeps a token for as long as the bus may ask again', () => {
    assert.deepEqual(rendered(EVENTS), [
      `CREATE TABLE IF NOT EXISTS events_local ON CLUSTER 'fleet' (
  node LowCardinality(String),
  n UInt64
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/events_local', '{replica}')
ORDER BY n
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800`,
      "CREATE TABLE IF NOT EXISTS events ON CLUSTER 'fleet' AS events_local " +
        "ENGINE = Distributed('fleet', currentDatabase(), 'events_local', cityHash64(node))",
    ]);
  });

  it('computes a roll-up on the shard of its rows', () => {
    const [, , local, distributed, view] = rendered(EVENTS, COUNTS, VIEW);
    assert.match(local!, /^CREATE TABLE IF NOT EXISTS counts_local .*ReplicatedAggregatingMergeTree\(/s);
    assert.match(distributed!, /Distributed\('fleet', currentDatabase\(\), 'counts_local', rand\(\)\)$/);
    const select = 'SELECT n FROM events_local AS e';
    assert.equal(
      view,
      `CREATE MATERIALIZED VIEW IF NOT EXISTS counts_from_events ON CLUSTER 'fleet' TO counts_local AS ${select}`,
    );
  });

  it('keeps the last row of a key by the column it was kept by', () => {
    const [local] = rendered(EVENTS.replace('MergeTree', 'ReplacingMergeTree(n)'));
    assert.match(local!, /ENGINE = ReplicatedReplacingMergeTree\('[^']+', '\{replica\}', n\)\nORDER BY/);
  });

  it('packs columns where the rows are', () => {
    const packed = 'ALTER TABLE events MODIFY COLUMN n CODEC(Delta, ZSTD(1)),\n  MODIFY COLUMN node CODEC(ZSTD(1))';
    const setting = "ALTER TABLE events MODIFY SETTING default_compression_codec = 'ZSTD(1)'";
    const [, , ...changes] = rendered(EVENTS, packed, setting);
    assert.deepEqual(
      changes,
      [packed, setting].map((sql) => sql.replace('TABLE events', "TABLE events_local ON CLUSTER 'fleet'")),
    );
  });

  it('keeps records without a node whole on every server', () => {
    assert.deepEqual(rendered(COUNTS), [
      `CREATE TABLE IF NOT EXISTS counts ON CLUSTER 'fleet' (
  n SimpleAggregateFunction(sum, UInt64)
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/all/{database}/counts', '{shard}-{replica}') ORDER BY n`,
    ]);
  });

  it('changes columns in both tables, all else where the rows are', () => {
    const add = "ADD COLUMN IF NOT EXISTS m UInt64 COMMENT 'x'";
    assert.deepEqual(rendered(EVENTS, `ALTER TABLE events ${add}`).slice(2), [
      `ALTER TABLE events_local ON CLUSTER 'fleet' ${add}`,
      `ALTER TABLE events ON CLUSTER 'fleet' ${add}`,
    ]);
    assert.deepEqual(rendered(EVENTS, 'ALTER TABLE events MODIFY SETTING index_granularity = 256').slice(2), [
      "ALTER TABLE events_local ON CLUSTER 'fleet' MODIFY SETTING index_granularity = 256",
    ]);
  });

  it('has a form for every statement there is', () => {
    const statements = clusterMigrations(MIGRATIONS, SCHEMA).flatMap((migration) => migration.statements);
    assert.ok(statements.length > 30);
    for (const sql of statements) {
      assert.match(sql, / ON CLUSTER 'fleet'/);
      assert.doesNotMatch(sql, /\bnon_replicated_|ENGINE = (?!Replicated)\w*MergeTree/);
    }
    assert.throws(() => rendered('OPTIMIZE TABLE events'), /no form of this statement/);
  });
});
