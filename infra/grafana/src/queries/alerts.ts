/** What the alert rules ask. Each answers a number, by node where there is one to go to. */
import { HAS_DIGEST, IN_HOURS } from '../sql.ts';
import { TABLES } from '../tables.ts';
import { COUNTED, COVERAGE, SEEN } from './counters.ts';
import { FINDINGS } from './findings.ts';

export const unansweredFindings = `SELECT count() AS findings FROM ${FINDINGS}
WHERE state = 'open' AND $__timeFilter(first_seen) AND severity IN ('critical', 'high', 'medium')`;

export const coverage = `SELECT node, ${COVERAGE} AS coverage
FROM ${COUNTED} GROUP BY node HAVING ${SEEN} > 0`;

export const silentFor = `SELECT node, dateDiff('second', max(ts), $__toTime) AS seconds
FROM ${TABLES.heartbeats} WHERE $__timeFilter(ts) GROUP BY node`;

export const outbox = `SELECT node, min(outbox_depth) AS messages
FROM ${TABLES.heartbeats} WHERE $__timeFilter(ts) GROUP BY node`;

export const missing = `SELECT node, sum(missing) AS messages
FROM (
  SELECT node, max(batch_seq) - min(batch_seq) + 1 - uniqExact(batch_seq) AS missing
  FROM ${TABLES.batches} WHERE $__timeFilter(ingested_at) GROUP BY node, boot, probe_epoch
)
GROUP BY node`;

export const lag = `SELECT node, quantileExact(0.5)(dateDiff('second', ts, ingested_at)) AS seconds
FROM ${TABLES.heartbeats} WHERE $__timeFilter(ingested_at) GROUP BY node`;

export const withDigest = `SELECT node, sumIf(n, ${HAS_DIGEST}) / sum(n) AS share
FROM ${TABLES.sightingNodes} WHERE ${IN_HOURS} AND digest_reason != 'pending'
GROUP BY node HAVING sum(n) > 0`;
