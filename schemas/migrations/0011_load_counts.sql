-- A load may stand for several: the kernel counts what it met before, and a row tells the count. A late digest moves as
-- many. Rows from before have 0 further ones.
ALTER TABLE load_events
  ADD COLUMN IF NOT EXISTS repeats UInt32 COMMENT 'Further loads that this row stands for: the same file, by the same program, user and workload. Such a row has no process.';
ALTER TABLE digest_events
  ADD COLUMN IF NOT EXISTS repeats UInt32 COMMENT 'Further loads that the resolved row stands for.';

ALTER TABLE sightings_from_load MODIFY QUERY
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  workload, image, role, sha256, path,
  if(digest_reason = 'pending', '', l.package) AS package,
  if(digest_reason = 'pending', '', l.package_version) AS package_version,
  if(digest_reason = 'pending', '', l.package_match) AS package_match,
  toUInt8(bitTest(flags, 2)) AS upper_layer, digest_strength, digest_reason,
  1 + toInt64(repeats) AS n, ts AS first_seen, ts AS last_seen
FROM load_events AS l WHERE NOT bitTest(flags, 6);

ALTER TABLE sightings_from_digest MODIFY QUERY
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(event_ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  workload, image, role,
  if(step = 1, d.sha256, toFixedString('', 32)) AS sha256, path,
  if(step = 1, d.package, '') AS package, if(step = 1, d.package_version, '') AS package_version,
  if(step = 1, d.package_match, '') AS package_match, toUInt8(bitTest(flags, 2)) AS upper_layer,
  if(step = 1, d.digest_strength, '') AS digest_strength, if(step = 1, d.digest_reason, 'pending') AS digest_reason,
  step * (1 + toInt64(d.repeats)) AS n, event_ts AS first_seen, event_ts AS last_seen
FROM digest_events AS d ARRAY JOIN [1, -1] AS step WHERE NOT bitTest(flags, 6);

ALTER TABLE sighting_nodes_from_load MODIFY QUERY
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  node, workload, image, role, sha256, path,
  if(digest_reason = 'pending', '', l.package_match) AS package_match, digest_reason,
  1 + toInt64(repeats) AS n, ts AS first_seen, ts AS last_seen
FROM load_events AS l WHERE NOT bitTest(flags, 6);

ALTER TABLE sighting_nodes_from_digest MODIFY QUERY
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(event_ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  node, workload, image, role,
  if(step = 1, d.sha256, toFixedString('', 32)) AS sha256, path, if(step = 1, d.package_match, '') AS package_match,
  if(step = 1, d.digest_reason, 'pending') AS digest_reason,
  step * (1 + toInt64(d.repeats)) AS n, event_ts AS first_seen, event_ts AS last_seen
FROM digest_events AS d ARRAY JOIN [1, -1] AS step WHERE NOT bitTest(flags, 6);

ALTER TABLE lineage_from_load MODIFY QUERY
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  workload, parent_path, path, role, uid,
  1 + toInt64(repeats) AS n, ts AS first_seen, ts AS last_seen
FROM load_events WHERE NOT bitTest(flags, 6);
