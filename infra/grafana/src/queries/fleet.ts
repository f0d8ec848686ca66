import { DIGEST_HEX, HAS_DIGEST, IN_HOURS, matches, SILENT_AFTER_S } from '../sql.ts';
import { TABLES } from '../tables.ts';
import { COUNTED, COVERAGE, SEEN as SEEN_THERE } from './counters.ts';
import { FINDINGS } from './findings.ts';

const SEEN = `${TABLES.sightingNodes} WHERE ${IN_HOURS} AND ${matches('node')}`;

const distinct = (column: string, condition = '1') => `SELECT count() AS total
FROM (SELECT ${column} FROM ${SEEN} AND ${condition} GROUP BY ${column} HAVING sum(n) > 0)`;

export const runs = `SELECT sum(n) AS runs FROM ${SEEN}`;
export const workloads = distinct('workload');
export const binaries = distinct('sha256', HAS_DIGEST);

export const coverage = `SELECT ${COVERAGE} AS coverage FROM ${COUNTED} WHERE ${matches('node')} HAVING ${SEEN_THERE} > 0`;
export const lost = `SELECT sum(lost_in) AS lost FROM ${COUNTED} WHERE ${matches('node')}`;

const LAST_HEARTBEATS = `(
  SELECT node, max(ts) AS last, argMax(mode, ts) AS mode FROM ${TABLES.heartbeats}
  WHERE $__timeFilter(ts) AND ${matches('node')} GROUP BY node
)`;
const IS_SILENT = `last < $__toTime - INTERVAL ${SILENT_AFTER_S} SECOND`;
export const nodesReporting = `SELECT countIf(NOT (${IS_SILENT})) AS nodes FROM ${LAST_HEARTBEATS}`;
export const nodesSilent = `SELECT countIf(${IS_SILENT}) AS nodes FROM ${LAST_HEARTBEATS}`;
export const nodesReplaying = `SELECT countIf(mode = 'replay') AS nodes FROM ${LAST_HEARTBEATS}`;

export const openFindings = `SELECT countIf(state = 'open') AS findings FROM ${FINDINGS}
WHERE last_seen >= $__fromTime AND first_seen <= $__toTime`;

// First seen anywhere since the window began: what is older on another node is not new.
const NEW = `SELECT sha256, min(first_seen) AS since, argMin(path, first_seen) AS first_path,
  argMin(workload, first_seen) AS first_workload, argMin(node, first_seen) AS first_node,
  argMin(package_match, first_seen) AS match, sum(n) AS runs, uniqExact(node) AS nodes
FROM ${TABLES.sightingNodes} WHERE sha256 IN (SELECT sha256 FROM ${SEEN} AND ${HAS_DIGEST})
GROUP BY sha256 HAVING runs > 0 AND since >= $__fromTime`;

export const newBinaries = `SELECT count() AS binaries FROM (${NEW})`;
export const newBinariesList = `SELECT since AS first_seen, first_path AS path, first_workload AS workload,
  first_node AS node, match AS package_match, runs, nodes, ${DIGEST_HEX} AS digest
FROM (${NEW}) ORDER BY since DESC LIMIT 200`;

export const runsByRole = `SELECT $__timeInterval(hour) AS time, role, sum(n) AS runs
FROM ${SEEN} GROUP BY time, role HAVING runs > 0 ORDER BY time, role`;

export const runsByEvidence = `SELECT $__timeInterval(hour) AS time,
  multiIf(${HAS_DIGEST}, 'digest', digest_reason) AS evidence, sum(n) AS runs
FROM ${SEEN} GROUP BY time, evidence HAVING runs > 0 ORDER BY time, evidence`;

export const workloadList = `SELECT workload, sum(total) AS runs, uniqExact(sha) AS binaries, uniqExact(on) AS nodes,
  sumIf(total, match IN ('', 'claimed', 'unread')) AS unpackaged, sumIf(total, match = 'mismatch') AS differing, max(last) AS last_seen
FROM (
  SELECT workload, sha256 AS sha, node AS on, package_match AS match, sum(n) AS total, max(last_seen) AS last
  FROM ${SEEN} GROUP BY workload, sha, on, match, path, digest_reason HAVING total > 0
)
GROUP BY workload ORDER BY runs DESC LIMIT 200`;

export const differing = `SELECT path, workload, node, sum(n) AS runs, min(first_seen) AS first_at, max(last_seen) AS last_at,
  ${DIGEST_HEX} AS digest
FROM ${SEEN} AND package_match = 'mismatch' GROUP BY path, workload, node, sha256 HAVING runs > 0
ORDER BY last_at DESC LIMIT 200`;

export const nodeOptions = `SELECT node FROM ${TABLES.probeRuns}
GROUP BY node ORDER BY max(probe_epoch) DESC LIMIT 10000`;
export const workloadOptions = `SELECT workload FROM ${TABLES.sightingNodes}
GROUP BY workload HAVING sum(n) > 0 ORDER BY max(last_seen) DESC LIMIT 10000`;
