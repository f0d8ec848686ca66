import { HAS_DIGEST, IN_HOURS, matches, STRONG_WORDS } from '../sql.ts';
import { TABLES } from '../tables.ts';
import * as counters from './counters.ts';

const ON_NODE = matches('node');
const HEARTBEATS = `${TABLES.heartbeats} WHERE $__timeFilter(ts) AND ${ON_NODE}`;
const BATCHES = `${TABLES.batches} WHERE $__timeFilter(ingested_at) AND ${ON_NODE}`;
const SEEN = `${TABLES.sightingNodes} WHERE ${IN_HOURS} AND ${ON_NODE}`;
const overTime = (value: string, from: string, ts: string) => `SELECT $__timeInterval(${ts}) AS time, node, ${value}
FROM ${from} GROUP BY time, node ORDER BY time, node`;

export const withDigest = `SELECT sumIf(n, ${HAS_DIGEST}) / sum(n) AS share FROM ${SEEN} HAVING sum(n) > 0`;

export const ratioOverTime = `SELECT time, node, ${counters.COVERAGE} AS coverage
FROM ${counters.COUNTED_OVER_TIME} WHERE $__timeFilter(time)
GROUP BY time, node HAVING ${counters.SEEN} > 0 ORDER BY time, node`;

export const lostOverTime = `SELECT time, concat(place, ' · ', event_type) AS lost_at, sum(lost_in) AS lost
FROM ${counters.COUNTED_OVER_TIME} WHERE $__timeFilter(time) GROUP BY time, lost_at ORDER BY time, lost_at`;

export const places = `SELECT node, place, event_type, sum(seen_in) AS seen, sum(lost_in) AS lost
FROM ${counters.COUNTED} WHERE ${ON_NODE} GROUP BY node, place, event_type ORDER BY lost DESC, seen DESC LIMIT 500`;

export const unwatched = `SELECT node, since, until, missed, if(reason = '', 'counted', reason) AS known
FROM ${counters.GAPS} AND ${ON_NODE} ORDER BY since DESC LIMIT 200`;
export const uncounted = `SELECT countIf(isNull(missed)) AS gaps FROM ${counters.GAPS} AND ${ON_NODE}`;

export const probes = `SELECT node, max(ts) AS last_heartbeat, dateDiff('second', last_heartbeat, $__toTime) AS silent_for,
  argMax(h.mode, ts) AS mode, argMax(h.probe_version, ts) AS version, argMax(h.hooks, ts) AS hooks,
  argMax(h.kernel, ts) AS kernel, argMax(h.outbox_depth, ts) AS outbox, argMax(h.waiting_digests, ts) AS waiting,
  argMax(h.held_descriptors, ts) AS held
FROM ${TABLES.heartbeats} AS h WHERE $__timeFilter(ts) AND ${ON_NODE} GROUP BY node ORDER BY silent_for DESC LIMIT 500`;

export const outbox = overTime('max(outbox_depth) AS messages', HEARTBEATS, 'ts');
export const waitingDigests = overTime('max(waiting_digests) AS files', HEARTBEATS, 'ts');
export const heldDescriptors = overTime('max(held_descriptors) AS descriptors', HEARTBEATS, 'ts');

export const ringBacklog = overTime('max(ring_backlog_bytes) AS bytes', HEARTBEATS, 'ts');
export const fanotifyBacklog = overTime('intDiv(max(fanotify_backlog_bytes), 24) AS files', HEARTBEATS, 'ts');

export const strengths = `SELECT $__timeInterval(hour) AS time,
  multiIf(digest_strength = '', 'none', digest_strength IN (${STRONG_WORDS}), 'strong', 'weak') AS evidence, sum(n) AS runs
FROM ${TABLES.sightings} WHERE ${IN_HOURS} GROUP BY time, evidence HAVING runs > 0 ORDER BY time, evidence`;

export const reasons = `SELECT digest_reason AS reason, sum(n) AS runs, uniqExact(path) AS paths,
  argMax(path, last_seen) AS for_example, max(last_seen) AS last_at
FROM ${SEEN} AND NOT (${HAS_DIGEST}) GROUP BY reason HAVING runs > 0 ORDER BY runs DESC`;

export const lag = overTime(
  "greatest(0, quantileExact(0.99)(dateDiff('millisecond', ts, ingested_at))) AS ms",
  HEARTBEATS,
  'ts',
);
export const rowsStored = `SELECT $__timeInterval(ingested_at) AS time, type, sum(rows) / $__interval_s AS rows_per_s
FROM ${BATCHES} AND repeat = 0 GROUP BY time, type ORDER BY time, type`;
export const bytesPerEvent = `SELECT sum(size_bytes) / sum(rows) AS bytes FROM ${BATCHES} HAVING sum(rows) > 0`;
export const repeats = `SELECT countIf(repeat = 1) AS messages FROM ${BATCHES}`;

// Numbers run without a gap from 0 for each run of a probe; seen here are holes between messages of the window.
const GAPS = `SELECT node, boot, probe_epoch, max(batch_seq) - min(batch_seq) + 1 - uniqExact(batch_seq) AS missing,
  max(ingested_at) AS last_at
FROM ${BATCHES} GROUP BY node, boot, probe_epoch`;
export const missing = `SELECT sum(missing) AS messages FROM (${GAPS})`;
export const gaps = `SELECT node, boot, fromUnixTimestamp64Milli(toInt64(probe_epoch), 'UTC') AS probe_start, missing, last_at
FROM (${GAPS}) ORDER BY missing DESC, last_at DESC LIMIT 200`;
