-- Which program images were there when a node's probe last looked, and which of its looks are known whole.

-- One row of an image and day, once merged: the latest look that found it. 16 B each on disk: 300 images that stay and 5
-- new ones a minute take 120 KB a day and node, the looks 17 KB (measured).
CREATE TABLE alive_events (
  node LowCardinality(String) COMMENT 'Node the event happened on.',
  boot LowCardinality(String) COMMENT 'boot_id of its kernel.',
  probe_epoch UInt64 COMMENT 'Start of the probe, milliseconds since the epoch.',
  ingested_at DateTime64(3, 'UTC') COMMENT 'Time of the plan that stored it.',
  ts DateTime64(9, 'UTC') COMMENT 'When the look began; the same in all its rows.',
  images UInt32 COMMENT 'Rows of this look: it is complete where as many arrived.',
  pid UInt32 COMMENT 'Process id (tgid) in the initial PID namespace.',
  self_exec_id UInt32 COMMENT 'task->self_exec_id: counts the program images of a process.',
  start_ns UInt64 COMMENT 'Start of the process on the boot clock, nanoseconds.'
)
ENGINE = ReplacingMergeTree(ts)
PARTITION BY toYYYYMMDD(ingested_at)
ORDER BY (node, boot, pid, start_ns, self_exec_id)
TTL toDateTime(ingested_at) + INTERVAL 30 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

-- A look may come in several messages and plans: it is whole where `stored` has reached `images`. Kept for as long as it
-- is worth asking what runs on a node that has gone silent, and by quarters of an hour: nearly all questions are about
-- the last ones, of every node.
CREATE TABLE alive_looks (
  quarter DateTime('UTC') COMMENT 'Of the time of the plan that stored it.',
  node LowCardinality(String),
  boot LowCardinality(String),
  probe_epoch UInt64,
  ts DateTime64(9, 'UTC'),
  images SimpleAggregateFunction(max, UInt32),
  stored SimpleAggregateFunction(sum, UInt64),
  stored_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMMDD(quarter)
ORDER BY (quarter, node, boot, probe_epoch, ts)
TTL quarter + INTERVAL 3 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW alive_looks_from_alive TO alive_looks AS
SELECT toStartOfFifteenMinutes(ingested_at) AS quarter, node, boot, probe_epoch, ts,
  max(a.images) AS images, count() AS stored, max(ingested_at) AS stored_at
FROM alive_events AS a GROUP BY quarter, node, boot, probe_epoch, ts;

ALTER TABLE heartbeat_events COMMENT COLUMN IF EXISTS mode 'live, replay, or stopping: the last word of a probe that was asked to end.';
