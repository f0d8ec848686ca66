-- Append-only records. State is always the newest row of an id, or all rows together; nothing is updated in place.

-- One row per message taken from the bus: repeats are recognised by (node, boot, probe_epoch, batch_seq), gaps are loss.
-- Small granules: messages are looked up one by one.
CREATE TABLE batches (
  bus_id LowCardinality(String),
  topic LowCardinality(String),
  partition UInt32,
  offset UInt64,
  node LowCardinality(String),
  boot LowCardinality(String),
  probe_epoch UInt64,
  batch_seq UInt64,
  type LowCardinality(String),
  rows UInt32,
  size_bytes UInt32,
  repeat UInt8 COMMENT '1 when an earlier offset already held this message; its rows were not stored again.',
  ingested_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ingested_at)
ORDER BY (node, boot, probe_epoch, batch_seq)
TTL toDateTime(ingested_at) + INTERVAL 90 DAY DELETE
SETTINGS index_granularity = 256, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

-- The highest number of each run of a probe: what is above it is new, and needs no look-up in batches.
CREATE TABLE probe_runs (
  ingest_month UInt32,
  bus_id LowCardinality(String),
  topic LowCardinality(String),
  partition UInt32,
  node LowCardinality(String),
  boot LowCardinality(String),
  probe_epoch UInt64,
  last_seq SimpleAggregateFunction(max, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY ingest_month
ORDER BY (node, boot, probe_epoch, bus_id, topic, partition)
TTL YYYYMMDDToDate(ingest_month * 100 + 1) + INTERVAL 431 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW probe_runs_from_batches TO probe_runs AS
SELECT toYYYYMM(ingested_at) AS ingest_month, bus_id, topic, partition, node, boot, probe_epoch,
  batch_seq AS last_seq
FROM batches;

-- First sight of a finding, with its evidence, as detect published it. Counts and times are read from sightings.
CREATE TABLE finding_evidence (
  finding_id FixedString(32),
  group_id FixedString(32),
  rule LowCardinality(String),
  rule_version UInt32,
  severity LowCardinality(String),
  workload LowCardinality(String),
  subject String,
  sha256 FixedString(32),
  path String,
  role LowCardinality(String),
  node LowCardinality(String),
  ts DateTime64(9, 'UTC'),
  policy_revision UInt64,
  evidence String COMMENT 'JSON, schemas/src/finding.ts',
  ingested_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (finding_id, ts)
TTL toDateTime(ingested_at) + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 10000;

-- What people did with findings. Written by the api alone.
CREATE TABLE finding_actions (
  revision UInt64,
  finding_id FixedString(32),
  action LowCardinality(String) COMMENT 'acknowledge or resolve',
  reason String,
  actor String,
  at DateTime64(3, 'UTC')
)
ENGINE = MergeTree ORDER BY (finding_id, revision);

-- Approvals and their withdrawal, by a revision that only grows. Written by the api alone.
CREATE TABLE approval_revisions (
  revision UInt64,
  id String,
  deleted UInt8,
  approval String COMMENT 'JSON, schemas/src/approval.ts',
  at DateTime64(3, 'UTC')
)
ENGINE = MergeTree ORDER BY revision;

-- Who changed what. Written by the api alone.
CREATE TABLE audit_log (
  at DateTime64(3, 'UTC'),
  id String,
  actor String,
  role LowCardinality(String),
  action LowCardinality(String),
  object String,
  detail String COMMENT 'JSON'
)
ENGINE = MergeTree ORDER BY (at, id);

-- API tokens: only the SHA-256 of the secret. A later row of the same id replaces an earlier one.
CREATE TABLE api_tokens (
  id String,
  name String,
  role LowCardinality(String),
  secret_sha256 FixedString(32),
  created_at DateTime64(3, 'UTC'),
  created_by String,
  revoked_at Nullable(DateTime64(3, 'UTC')),
  revision UInt64
)
ENGINE = MergeTree ORDER BY (id, revision);
