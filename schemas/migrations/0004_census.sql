-- The census: what ran while no probe did. The raw rows, what is counted per run of a probe, and the gaps between runs.

CREATE TABLE census_events (
  node LowCardinality(String) COMMENT 'Node the event happened on.',
  boot LowCardinality(String) COMMENT 'boot_id of its kernel.',
  probe_epoch UInt64 COMMENT 'Start of the probe, milliseconds since the epoch.',
  ingested_at DateTime64(3, 'UTC') COMMENT 'Time of the plan that stored it.',
  ts DateTime64(9, 'UTC') COMMENT 'When the probe made the record.',
  stream UInt32 COMMENT 'Stream of the probe that numbered the event.',
  seq UInt64 COMMENT 'Sequence number in that stream.',
  cpu UInt32 COMMENT 'CPU that was counted; 4294967295 where there is no census.',
  cpus UInt32 COMMENT 'CPUs the kernel may have: with fewer rows than that a probe has not told all.',
  census_id UInt64 COMMENT 'Random, made with the census; 0 where there is none.',
  taken_over UInt64 COMMENT 'Execs counted before the first one that this run of the probe saw itself.',
  execs UInt64 COMMENT 'Execs counted so far.',
  exits UInt64 COMMENT 'Ended processes counted so far, forks without an exec too.',
  reason LowCardinality(String) COMMENT 'Why there is no census: no_bpffs, refused; else empty.'
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ingested_at)
ORDER BY (node, ts)
TTL toDateTime(ingested_at) + INTERVAL 30 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

-- Execs of each run of a probe, by CPU: how many are stored (place `exec`), where the run took over from the census
-- (`census`), what its loss counters say (their own places), and when it gave a sign of life. Counters at their highest,
-- rows added up under the tokens of their blocks: late, doubled and reordered messages agree.
CREATE TABLE run_counts (
  ingest_month UInt32,
  node LowCardinality(String),
  boot LowCardinality(String),
  probe_epoch UInt64,
  place LowCardinality(String),
  cpu UInt32,
  stored SimpleAggregateFunction(sum, UInt64),
  seen SimpleAggregateFunction(max, UInt64),
  lost SimpleAggregateFunction(max, UInt64),
  cpus SimpleAggregateFunction(max, UInt32),
  census_id SimpleAggregateFunction(max, UInt64),
  taken_over SimpleAggregateFunction(max, UInt64),
  reason SimpleAggregateFunction(max, String),
  mode SimpleAggregateFunction(max, String),
  first_seen SimpleAggregateFunction(min, DateTime64(9, 'UTC')),
  last_seen SimpleAggregateFunction(max, DateTime64(9, 'UTC')),
  last_ingest SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
PARTITION BY ingest_month
ORDER BY (node, boot, probe_epoch, place, cpu)
TTL YYYYMMDDToDate(ingest_month * 100 + 1) + INTERVAL 431 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW run_counts_from_exec TO run_counts AS
SELECT toYYYYMM(ingested_at) AS ingest_month, node, boot, probe_epoch, 'exec' AS place, cpu,
  count() AS stored, min(ts) AS first_seen, max(ts) AS last_seen, max(ingested_at) AS last_ingest
FROM exec_events WHERE NOT bitTest(flags, 6) GROUP BY ingest_month, node, boot, probe_epoch, cpu;

CREATE MATERIALIZED VIEW run_counts_from_census TO run_counts AS
SELECT toYYYYMM(ingested_at) AS ingest_month, node, boot, probe_epoch, 'census' AS place, cpu,
  max(e.cpus) AS cpus, max(e.census_id) AS census_id, max(e.taken_over) AS taken_over, max(toString(e.reason)) AS reason,
  min(ts) AS first_seen, max(ts) AS last_seen, max(ingested_at) AS last_ingest
FROM census_events AS e GROUP BY ingest_month, node, boot, probe_epoch, cpu;

CREATE MATERIALIZED VIEW run_counts_from_loss TO run_counts AS
SELECT toYYYYMM(ingested_at) AS ingest_month, node, boot, probe_epoch, concat('lost at ', l.place) AS place, cpu,
  max(l.seen) AS seen, max(l.lost) AS lost, min(ts) AS first_seen, max(ts) AS last_seen, max(ingested_at) AS last_ingest
FROM loss_events AS l WHERE event_type = 'exec' GROUP BY ingest_month, node, boot, probe_epoch, place, cpu;

CREATE MATERIALIZED VIEW run_counts_from_heartbeat TO run_counts AS
SELECT toYYYYMM(ingested_at) AS ingest_month, node, boot, probe_epoch, 'heartbeat' AS place, toUInt32(4294967295) AS cpu,
  max(toString(h.mode)) AS mode, min(ts) AS first_seen, max(ts) AS last_seen, max(ingested_at) AS last_ingest
FROM heartbeat_events AS h GROUP BY ingest_month, node, boot, probe_epoch;

-- Times without a probe, from the last sign of one run to the first of the next, and how many execs are missing from the
-- store for it: what the census counted from one taking over to the other, less what the earlier run has in the store
-- and less what it counted as lost itself. That takes in what it still held when it was killed. `unseen`: those that no
-- report of it had counted. Both are NULL, with the reason, where nobody counted; `until` is NULL while the probe is
-- still away: nothing of it came in for a minute, by the clock of the store. A run whose census never arrived, between two of the same census, is part of their gap. Replays have none.
CREATE VIEW run_gaps AS
SELECT node, boot, probe_epoch, since, until, if(reason = '', total - accounted, NULL) AS missed,
  if(reason = '', greatest(0, total - seen_by_then), NULL) AS unseen, reason
FROM (
  SELECT node, boot, probe_epoch, since, toNullable(began) AS until, total, accounted, seen_by_then,
    multiIf(
      boot != boot_1, 'reboot',
      overlaps_1, 'two_probes',
      isNull(taken), if(why = '', 'not_reported', why),
      isNull(taken_1), if(why_1 = '', 'not_reported', why_1),
      census != census_1, 'census_removed',
      total < accounted, 'disagree',
      '') AS reason
  FROM (
    SELECT node, boot, probe_epoch, began, overlaps, census, taken, why,
      row_number() OVER earlier AS nth,
      max(ended) OVER (earlier ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS since,
      lagInFrame(boot) OVER earlier AS boot_1, lagInFrame(overlaps) OVER earlier AS overlaps_1,
      lagInFrame(census) OVER earlier AS census_1, lagInFrame(taken) OVER earlier AS taken_1,
      lagInFrame(why) OVER earlier AS why_1,
      ifNull(taken - taken_1, 0) AS total,
      accounted_before - lagInFrame(accounted_before) OVER earlier AS accounted,
      seen_before - lagInFrame(seen_before) OVER earlier AS seen_by_then
    FROM (
      SELECT node, boot, probe_epoch, began, ended, census, taken, why,
        if(isNull(taken), NULL, concat(boot, ' ', toString(census))) AS counted_by,
        anyLast(counted_by) OVER (run ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS counted_before,
        any(counted_by) OVER (run ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS counted_after,
        sum(stored_n + lost_n) OVER (run ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) - stored_n - lost_n AS accounted_before,
        sum(seen_n) OVER (run ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) - seen_n AS seen_before,
        began <= max(ended) OVER (run ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS overlaps
      FROM (
        SELECT node, boot, probe_epoch, min(first_at) AS began, max(last_at) AS ended, toInt64(sum(stored_part)) AS stored_n,
          toInt64(sum(lost_part)) AS lost_n, toInt64(sumIf(seen_part, place = 'lost at ring')) AS seen_n,
          max(census_part) AS census, max(why_part) AS why,
          if(census != 0 AND countIf(place = 'census') = max(cpus_part), toNullable(toInt64(sum(taken_part))), NULL) AS taken
        FROM (
          SELECT node, boot, probe_epoch, place, cpu, sum(stored) AS stored_part, max(seen) AS seen_part,
            max(lost) AS lost_part, max(cpus) AS cpus_part, max(census_id) AS census_part, max(taken_over) AS taken_part,
            max(reason) AS why_part, max(mode) AS mode_part, min(first_seen) AS first_at, max(last_seen) AS last_at
          FROM run_counts GROUP BY node, boot, probe_epoch, place, cpu
        )
        GROUP BY node, boot, probe_epoch HAVING max(mode_part) != 'replay'
      )
      WINDOW run AS (PARTITION BY node ORDER BY probe_epoch, boot)
    )
    WHERE NOT (isNull(taken) AND ifNull(counted_before = counted_after, 0))
    WINDOW earlier AS (PARTITION BY node ORDER BY probe_epoch, boot)
  )
  WHERE nth > 1 AND NOT overlaps
)
UNION ALL
SELECT node, argMax(boot, probe_epoch), max(probe_epoch), max(last_seen) AS since, NULL, NULL, NULL, 'silent'
FROM run_counts GROUP BY node HAVING max(mode) != 'replay' AND max(last_ingest) < now64(3) - INTERVAL 60 SECOND;
