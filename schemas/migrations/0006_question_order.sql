-- Other orders and sums of the same rows, for questions that come by time, node or digest. Projections and skip indexes
-- live in the parts of their table: they need no views, move with late digests, and go with the rows.

-- Roll-ups merge rows by their key; a projection of such a part is made anew with it.
ALTER TABLE sightings MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild';
ALTER TABLE sighting_nodes MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild';

-- A window, and what one workload did in it.
ALTER TABLE sightings ADD PROJECTION IF NOT EXISTS by_day (
  SELECT * ORDER BY toStartOfDay(hour), workload, sha256, path, role, image, package, package_version, package_match,
    upper_layer, digest_strength, digest_reason, hour
);

-- Everything ever seen: a fleet's hours fold into few rows.
ALTER TABLE sightings ADD PROJECTION IF NOT EXISTS ever (
  SELECT sha256, workload, path, role, image, package, package_version, package_match, upper_layer, digest_strength,
    digest_reason, sum(n), min(first_seen), max(last_seen)
  GROUP BY sha256, workload, path, role, image, package, package_version, package_match, upper_layer, digest_strength,
    digest_reason
);

-- The same day by day.
ALTER TABLE sightings ADD PROJECTION IF NOT EXISTS days (
  SELECT toStartOfDay(hour) AS day, workload, sha256, path, role, image, package, package_version, package_match,
    upper_layer, digest_strength, digest_reason, sum(n), min(first_seen), max(last_seen)
  GROUP BY day, workload, sha256, path, role, image, package, package_version, package_match, upper_layer,
    digest_strength, digest_reason
);

-- What one node ran.
ALTER TABLE sighting_nodes ADD PROJECTION IF NOT EXISTS by_node (
  SELECT * ORDER BY node, sha256, workload, path, role, image, package_match, digest_reason, hour
);

-- Where how much ran, and how much of it is known by content: whole days, and hours for a window's ends.
ALTER TABLE sighting_nodes ADD PROJECTION IF NOT EXISTS places_by_day (
  SELECT toStartOfDay(hour) AS day, workload, node, image, role, digest_reason,
    sum(n), min(first_seen), max(last_seen)
  GROUP BY day, workload, node, image, role, digest_reason
);
ALTER TABLE sighting_nodes ADD PROJECTION IF NOT EXISTS places_by_hour (
  SELECT toStartOfDay(hour) AS day, workload, node, hour, image, role, digest_reason,
    sum(n), min(first_seen), max(last_seen)
  GROUP BY day, workload, node, hour, image, role, digest_reason
);

-- Ends are in no roll-up. Clamped as the views do it.
ALTER TABLE exit_events ADD PROJECTION IF NOT EXISTS by_hour (
  SELECT toStartOfHour(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC'))) AS hour, workload, node, count()
  GROUP BY hour, workload, node
);

-- Partitions are by time of ingest, which a node's clock says nothing about: the range of times of each granule does,
-- at 16 bytes of 8,192 rows. In the order of workload and digest a granule holds few digests, so that a small filter
-- tells which granules hold one.
ALTER TABLE exec_events ADD INDEX IF NOT EXISTS by_time ts TYPE minmax GRANULARITY 1;
ALTER TABLE exec_events ADD INDEX IF NOT EXISTS by_digest sha256 TYPE bloom_filter(0.01) GRANULARITY 1;
ALTER TABLE load_events ADD INDEX IF NOT EXISTS by_time ts TYPE minmax GRANULARITY 1;
ALTER TABLE load_events ADD INDEX IF NOT EXISTS by_digest sha256 TYPE bloom_filter(0.01) GRANULARITY 1;
ALTER TABLE exit_events ADD INDEX IF NOT EXISTS by_time ts TYPE minmax GRANULARITY 1;
ALTER TABLE digest_events ADD INDEX IF NOT EXISTS by_time (ts, event_ts) TYPE minmax GRANULARITY 1;
ALTER TABLE digest_events ADD INDEX IF NOT EXISTS by_digest sha256 TYPE bloom_filter(0.01) GRANULARITY 1;

-- For what is stored already; in the background, meanwhile questions about it are as slow as before.
ALTER TABLE sightings MATERIALIZE PROJECTION IF EXISTS by_day;
ALTER TABLE sightings MATERIALIZE PROJECTION IF EXISTS ever;
ALTER TABLE sightings MATERIALIZE PROJECTION IF EXISTS days;
ALTER TABLE sighting_nodes MATERIALIZE PROJECTION IF EXISTS by_node;
ALTER TABLE sighting_nodes MATERIALIZE PROJECTION IF EXISTS places_by_day;
ALTER TABLE sighting_nodes MATERIALIZE PROJECTION IF EXISTS places_by_hour;
ALTER TABLE exit_events MATERIALIZE PROJECTION IF EXISTS by_hour;
ALTER TABLE exec_events MATERIALIZE INDEX IF EXISTS by_time;
ALTER TABLE exec_events MATERIALIZE INDEX IF EXISTS by_digest;
ALTER TABLE load_events MATERIALIZE INDEX IF EXISTS by_time;
ALTER TABLE load_events MATERIALIZE INDEX IF EXISTS by_digest;
ALTER TABLE exit_events MATERIALIZE INDEX IF EXISTS by_time;
ALTER TABLE digest_events MATERIALIZE INDEX IF EXISTS by_time;
ALTER TABLE digest_events MATERIALIZE INDEX IF EXISTS by_digest;
