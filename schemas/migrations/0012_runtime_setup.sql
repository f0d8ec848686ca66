-- What a container's runtime starts in its cgroup to set it up, and what that loads (flag runtime_setup, bit 16), is counted
-- under a role of its own. A late digest carries the flags of what it resolves. Views are made anew and never changed in
-- place: one that was goes by another deduplication token until the server starts again (26.7).

DROP VIEW IF EXISTS sightings_from_exec;
CREATE MATERIALIZED VIEW sightings_from_exec TO sightings AS
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  workload, image, if(bitTest(flags, 16), 'setup', 'exec') AS role, sha256, path,
  if(digest_reason = 'pending', '', e.package) AS package,
  if(digest_reason = 'pending', '', e.package_version) AS package_version,
  if(digest_reason = 'pending', '', e.package_match) AS package_match,
  toUInt8(bitTest(flags, 2)) AS upper_layer, digest_strength, digest_reason,
  toInt64(1) AS n, ts AS first_seen, ts AS last_seen
FROM exec_events AS e WHERE NOT bitTest(flags, 6);

DROP VIEW IF EXISTS sighting_nodes_from_exec;
CREATE MATERIALIZED VIEW sighting_nodes_from_exec TO sighting_nodes AS
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  node, workload, image, if(bitTest(flags, 16), 'setup', 'exec') AS role, sha256, path,
  if(digest_reason = 'pending', '', e.package_match) AS package_match, digest_reason,
  toInt64(1) AS n, ts AS first_seen, ts AS last_seen
FROM exec_events AS e WHERE NOT bitTest(flags, 6);

DROP VIEW IF EXISTS lineage_from_exec;
CREATE MATERIALIZED VIEW lineage_from_exec TO lineage AS
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  workload, parent_path, path, if(bitTest(flags, 16), 'setup', 'exec') AS role, uid,
  toInt64(1) AS n, ts AS first_seen, ts AS last_seen
FROM exec_events WHERE NOT bitTest(flags, 6);

DROP VIEW IF EXISTS sightings_from_load;
CREATE MATERIALIZED VIEW sightings_from_load TO sightings AS
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  workload, image, if(bitTest(l.flags, 16), 'setup', l.role) AS role, sha256, path,
  if(digest_reason = 'pending', '', l.package) AS package,
  if(digest_reason = 'pending', '', l.package_version) AS package_version,
  if(digest_reason = 'pending', '', l.package_match) AS package_match,
  toUInt8(bitTest(flags, 2)) AS upper_layer, digest_strength, digest_reason,
  1 + toInt64(repeats) AS n, ts AS first_seen, ts AS last_seen
FROM load_events AS l WHERE NOT bitTest(flags, 6);

DROP VIEW IF EXISTS sighting_nodes_from_load;
CREATE MATERIALIZED VIEW sighting_nodes_from_load TO sighting_nodes AS
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  node, workload, image, if(bitTest(l.flags, 16), 'setup', l.role) AS role, sha256, path,
  if(digest_reason = 'pending', '', l.package_match) AS package_match, digest_reason,
  1 + toInt64(repeats) AS n, ts AS first_seen, ts AS last_seen
FROM load_events AS l WHERE NOT bitTest(flags, 6);

DROP VIEW IF EXISTS lineage_from_load;
CREATE MATERIALIZED VIEW lineage_from_load TO lineage AS
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  workload, parent_path, path, if(bitTest(load_events.flags, 16), 'setup', load_events.role) AS role, uid,
  1 + toInt64(repeats) AS n, ts AS first_seen, ts AS last_seen
FROM load_events WHERE NOT bitTest(flags, 6);

DROP VIEW IF EXISTS sightings_from_digest;
CREATE MATERIALIZED VIEW sightings_from_digest TO sightings AS
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(event_ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  workload, image, if(bitTest(d.flags, 16), 'setup', d.role) AS role,
  if(step = 1, d.sha256, toFixedString('', 32)) AS sha256, path,
  if(step = 1, d.package, '') AS package, if(step = 1, d.package_version, '') AS package_version,
  if(step = 1, d.package_match, '') AS package_match, toUInt8(bitTest(flags, 2)) AS upper_layer,
  if(step = 1, d.digest_strength, '') AS digest_strength, if(step = 1, d.digest_reason, 'pending') AS digest_reason,
  step * (1 + toInt64(d.repeats)) AS n, event_ts AS first_seen, event_ts AS last_seen
FROM digest_events AS d ARRAY JOIN [1, -1] AS step WHERE NOT bitTest(flags, 6);

DROP VIEW IF EXISTS sighting_nodes_from_digest;
CREATE MATERIALIZED VIEW sighting_nodes_from_digest TO sighting_nodes AS
SELECT toYYYYMM(ingested_at) AS ingest_month,
  toStartOfHour(least(event_ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour,
  node, workload, image, if(bitTest(d.flags, 16), 'setup', d.role) AS role,
  if(step = 1, d.sha256, toFixedString('', 32)) AS sha256, path, if(step = 1, d.package_match, '') AS package_match,
  if(step = 1, d.digest_reason, 'pending') AS digest_reason,
  step * (1 + toInt64(d.repeats)) AS n, event_ts AS first_seen, event_ts AS last_seen
FROM digest_events AS d ARRAY JOIN [1, -1] AS step WHERE NOT bitTest(flags, 6);

ALTER TABLE digest_events COMMENT COLUMN IF EXISTS role 'Role in the resolved event; of an exec always exec.';
