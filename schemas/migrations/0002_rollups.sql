-- Roll-ups, kept by materialized views in the same insert as the raw rows. All are one partition per month of ingest:
-- a deduplication token covers a block per partition, and a plan has one time of ingest. They also expire by it: by
-- their own time, rows of a node whose clock is wrong would be gone at once. Hours end where DateTime does, in 2106.

-- Everything the judgement reads, and a count. A late digest moves a count from its pending key to its final one:
-- readers sum n and drop keys at 0. What is pending has no package yet, so that the key can be known without a look-up.
CREATE TABLE sightings (
  ingest_month UInt32,
  hour DateTime('UTC'),
  workload LowCardinality(String),
  image LowCardinality(String),
  role LowCardinality(String),
  sha256 FixedString(32),
  path String,
  package LowCardinality(String),
  package_version LowCardinality(String),
  package_match LowCardinality(String),
  upper_layer UInt8,
  digest_strength LowCardinality(String),
  digest_reason LowCardinality(String),
  n SimpleAggregateFunction(sum, Int64),
  first_seen SimpleAggregateFunction(min, DateTime64(9, 'UTC')),
  last_seen SimpleAggregateFunction(max, DateTime64(9, 'UTC'))
)
ENGINE = AggregatingMergeTree
PARTITION BY ingest_month
ORDER BY (sha256, workload, path, role, image, package, package_version, package_match, upper_layer, digest_strength, digest_reason, hour)
TTL YYYYMMDDToDate(ingest_month * 100 + 1) + INTERVAL 431 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW sightings_from_exec TO sightings AS
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  workload, image, 'exec' AS role, sha256, path,
  if(digest_reason = 'pending', '', e.package) AS package,
  if(digest_reason = 'pending', '', e.package_version) AS package_version,
  if(digest_reason = 'pending', '', e.package_match) AS package_match,
  toUInt8(bitTest(flags, 2)) AS upper_layer, digest_strength, digest_reason,
  toInt64(1) AS n, ts AS first_seen, ts AS last_seen
FROM exec_events AS e WHERE NOT bitTest(flags, 6);

CREATE MATERIALIZED VIEW sightings_from_load TO sightings AS
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  workload, image, role, sha256, path,
  if(digest_reason = 'pending', '', l.package) AS package,
  if(digest_reason = 'pending', '', l.package_version) AS package_version,
  if(digest_reason = 'pending', '', l.package_match) AS package_match,
  toUInt8(bitTest(flags, 2)) AS upper_layer, digest_strength, digest_reason,
  toInt64(1) AS n, ts AS first_seen, ts AS last_seen
FROM load_events AS l WHERE NOT bitTest(flags, 6);

CREATE MATERIALIZED VIEW sightings_from_digest TO sightings AS
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(event_ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  workload, image, role,
  if(step = 1, d.sha256, toFixedString('', 32)) AS sha256, path,
  if(step = 1, d.package, '') AS package, if(step = 1, d.package_version, '') AS package_version,
  if(step = 1, d.package_match, '') AS package_match, toUInt8(bitTest(flags, 2)) AS upper_layer,
  if(step = 1, d.digest_strength, '') AS digest_strength, if(step = 1, d.digest_reason, 'pending') AS digest_reason,
  toInt64(step) AS n, event_ts AS first_seen, event_ts AS last_seen
FROM digest_events AS d ARRAY JOIN [1, -1] AS step WHERE NOT bitTest(flags, 6);

-- Where each binary was seen: the node dimension, kept apart so that sightings stay few.
CREATE TABLE sighting_nodes (
  ingest_month UInt32,
  hour DateTime('UTC'),
  node LowCardinality(String),
  workload LowCardinality(String),
  image LowCardinality(String),
  role LowCardinality(String),
  sha256 FixedString(32),
  path String,
  package_match LowCardinality(String),
  digest_reason LowCardinality(String),
  n SimpleAggregateFunction(sum, Int64),
  first_seen SimpleAggregateFunction(min, DateTime64(9, 'UTC')),
  last_seen SimpleAggregateFunction(max, DateTime64(9, 'UTC'))
)
ENGINE = AggregatingMergeTree
PARTITION BY ingest_month
ORDER BY (sha256, workload, path, node, role, image, package_match, digest_reason, hour)
TTL YYYYMMDDToDate(ingest_month * 100 + 1) + INTERVAL 431 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW sighting_nodes_from_exec TO sighting_nodes AS
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  node, workload, image, 'exec' AS role, sha256, path,
  if(digest_reason = 'pending', '', e.package_match) AS package_match, digest_reason,
  toInt64(1) AS n, ts AS first_seen, ts AS last_seen
FROM exec_events AS e WHERE NOT bitTest(flags, 6);

CREATE MATERIALIZED VIEW sighting_nodes_from_load TO sighting_nodes AS
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  node, workload, image, role, sha256, path,
  if(digest_reason = 'pending', '', l.package_match) AS package_match, digest_reason,
  toInt64(1) AS n, ts AS first_seen, ts AS last_seen
FROM load_events AS l WHERE NOT bitTest(flags, 6);

CREATE MATERIALIZED VIEW sighting_nodes_from_digest TO sighting_nodes AS
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(event_ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  node, workload, image, role,
  if(step = 1, d.sha256, toFixedString('', 32)) AS sha256, path, if(step = 1, d.package_match, '') AS package_match,
  if(step = 1, d.digest_reason, 'pending') AS digest_reason,
  toInt64(step) AS n, event_ts AS first_seen, event_ts AS last_seen
FROM digest_events AS d ARRAY JOIN [1, -1] AS step WHERE NOT bitTest(flags, 6);

-- Who starts what, as whom. Keyed without the digest: a late one would not move it.
CREATE TABLE lineage (
  ingest_month UInt32,
  hour DateTime('UTC'),
  workload LowCardinality(String),
  parent_path String,
  path String,
  role LowCardinality(String),
  uid UInt32,
  n SimpleAggregateFunction(sum, Int64),
  first_seen SimpleAggregateFunction(min, DateTime64(9, 'UTC')),
  last_seen SimpleAggregateFunction(max, DateTime64(9, 'UTC'))
)
ENGINE = AggregatingMergeTree
PARTITION BY ingest_month
ORDER BY (workload, parent_path, path, role, uid, hour)
TTL YYYYMMDDToDate(ingest_month * 100 + 1) + INTERVAL 431 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW lineage_from_exec TO lineage AS
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  workload, parent_path, path, 'exec' AS role, uid,
  toInt64(1) AS n, ts AS first_seen, ts AS last_seen
FROM exec_events WHERE NOT bitTest(flags, 6);

CREATE MATERIALIZED VIEW lineage_from_load TO lineage AS
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  workload, parent_path, path, role, uid,
  toInt64(1) AS n, ts AS first_seen, ts AS last_seen
FROM load_events WHERE NOT bitTest(flags, 6);

-- Cumulative counters, kept at their highest per minute: late, doubled and reordered records agree. The loss of a
-- window is the maximum at its end less the maximum before its start.
CREATE TABLE coverage (
  ingest_month UInt32,
  minute DateTime('UTC'),
  node LowCardinality(String),
  boot LowCardinality(String),
  probe_epoch UInt64,
  cpu UInt32,
  event_type LowCardinality(String),
  place LowCardinality(String),
  seen SimpleAggregateFunction(max, UInt64),
  sent SimpleAggregateFunction(max, UInt64),
  lost SimpleAggregateFunction(max, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY ingest_month
ORDER BY (node, boot, probe_epoch, event_type, place, cpu, minute)
TTL YYYYMMDDToDate(ingest_month * 100 + 1) + INTERVAL 431 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW coverage_from_loss TO coverage AS
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfMinute(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS minute,
  node, boot, probe_epoch, cpu, event_type, place,
  seen, sent, lost
FROM loss_events;
