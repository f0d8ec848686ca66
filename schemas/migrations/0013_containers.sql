-- What container runtimes said of containers: events carry their ids and workloads, these rows the names and images.
-- Kept as long as sightings, which name images by digest.

CREATE TABLE container_events (
  node LowCardinality(String) COMMENT 'Node the event happened on.',
  boot LowCardinality(String) COMMENT 'boot_id of its kernel.',
  probe_epoch UInt64 COMMENT 'Start of the probe, milliseconds since the epoch.',
  ingested_at DateTime64(3, 'UTC') COMMENT 'Time of the plan that stored it.',
  ts DateTime64(9, 'UTC') COMMENT 'When the probe made the record.',
  stream UInt32 COMMENT 'Stream of the probe that numbered the event.',
  seq UInt64 COMMENT 'Sequence number in that stream.',
  container_id LowCardinality(String) COMMENT 'The id that events carry.',
  runtime LowCardinality(String) COMMENT 'Runtime, as its cgroup tells it.',
  workload LowCardinality(String) COMMENT 'Workload id in its events.',
  deployed_as LowCardinality(String) COMMENT 'Workload id by its names; another one than in its events where the runtime answered too late for those.',
  container_name LowCardinality(String) COMMENT 'Its name; in Kubernetes within its pod.',
  namespace LowCardinality(String) COMMENT 'Kubernetes namespace; else empty.',
  pod LowCardinality(String) COMMENT 'Name of its pod; else empty.',
  image LowCardinality(String) COMMENT 'Image digest, as in its events; empty when not told.',
  image_id LowCardinality(String) COMMENT 'Digest of the image configuration on this node.',
  image_ref LowCardinality(String) COMMENT 'Image as whoever started it named it.',
  labels String COMMENT 'Labels as JSON; empty without any, or beyond 8 KiB.',
  told_by LowCardinality(String) COMMENT 'Who said so: runtime and socket.',
  valid_from DateTime64(9, 'UTC') COMMENT 'When the runtime made it; 0 when it does not say.',
  valid_until DateTime64(9, 'UTC') COMMENT 'By then nothing ran in it any more: the time of a look at all processes. 0 while it runs.'
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ingested_at)
ORDER BY (container_id, ts)
TTL toDateTime(ingested_at) + INTERVAL 431 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;
