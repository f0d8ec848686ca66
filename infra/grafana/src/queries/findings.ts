/** Findings as facts: what was seen, and what people did about it. Approvals are judged by the API, not here. */
import { MODIFIED } from '@bintrail/analysis/change-rules.ts';
import { HAS_DIGEST, matches } from '../sql.ts';
import { TABLES } from '../tables.ts';

const EVIDENCE = TABLES.findings;
const SUBJECTS = (kind: 'sha256' | 'path') =>
  `(workload, ${kind}) IN (SELECT workload, ${kind} FROM ${EVIDENCE} WHERE startsWith(subject, '${kind}:'))`;

// A finding speaks of a digest, or of a path: that differs from its package, was mapped while writable, or has no digest; or of
// a file that changed while it was in use.
const IS_WRITABLE = "digest_strength = 'writable' AND role IN ('library', 'loader')";
const SIGHTINGS = `
  SELECT workload, concat('sha256:', lower(hex(sha256))) AS subject, 'content' AS kind, n, last_seen
  FROM ${TABLES.sightings} WHERE ${HAS_DIGEST} AND ${SUBJECTS('sha256')}
  UNION ALL
  SELECT workload, concat('path:', path) AS subject, arrayJoin(arrayConcat(
    if(package_match = 'mismatch', ['tampered'], []), if(${IS_WRITABLE}, ['writable'], []),
    if(NOT (${HAS_DIGEST}) AND digest_reason != 'pending', ['absent'], []))) AS kind, n, last_seen
  FROM ${TABLES.sightings} WHERE ${SUBJECTS('path')}
  UNION ALL
  SELECT workload, concat('changed:', path) AS subject, 'changed' AS kind, toInt64(1 + repeats) AS n, ts AS last_seen
  FROM ${TABLES.changes} WHERE bitAnd(flags, ${MODIFIED.inUse | MODIFIED.byInstaller}) = ${MODIFIED.inUse}
    AND action IN (${MODIFIED.actions.join(', ')})`;

/** All findings, one row each. `state` is that of the API but for approvals: a resolution holds until a later run. */
export const FINDINGS = `(
  SELECT lower(hex(first.id)) AS finding, lower(hex(first.group)) AS alert_group, first.rule AS rule,
    first.severity AS severity, first.workload AS workload, first.path AS path, first.digest AS digest,
    first.node AS node, first.at AS first_seen, greatest(seen.last_at, first.at) AS last_seen, seen.runs AS runs,
    multiIf(
      acted.action = 'resolve' AND last_seen <= acted.at, 'resolved',
      first.rule = 'probe-silent' AND heard.word != '' AND NOT endsWith(first.subject, heard.word), 'resolved',
      acted.action = 'acknowledge', 'acknowledged', 'open') AS state,
    acted.actor AS actor, acted.reason AS reason, first_acted.after_s AS answered_after_s
  FROM (
    SELECT finding_id AS id, any(group_id) AS group, any(rule) AS rule, any(severity) AS severity,
      any(workload) AS workload, any(subject) AS subject, argMin(path, ts) AS path,
      if(any(sha256) = toFixedString('', 32), '', lower(hex(any(sha256)))) AS digest,
      argMin(node, ts) AS node, min(ts) AS at
    FROM ${EVIDENCE} GROUP BY finding_id
  ) AS first
  LEFT JOIN (
    SELECT workload, subject, kind, sum(n) AS runs, max(last_seen) AS last_at
    FROM (${SIGHTINGS}) GROUP BY workload, subject, kind HAVING sum(n) > 0
  ) AS seen ON seen.workload = first.workload AND seen.subject = first.subject
    AND seen.kind = multiIf(startsWith(first.subject, 'sha256:'), 'content', startsWith(first.subject, 'changed:'), 'changed', first.rule = 'tampered-package-file', 'tampered',
      first.rule = 'library-writable-while-mapped', 'writable', 'absent')
  LEFT JOIN (
    SELECT finding_id AS id, argMax(a.action, revision) AS action, argMax(a.at, revision) AS at,
      argMax(a.actor, revision) AS actor, argMax(a.reason, revision) AS reason
    FROM ${TABLES.actions} AS a GROUP BY finding_id
  ) AS acted ON acted.id = first.id
  LEFT JOIN (
    SELECT a.finding_id AS id, toNullable(dateDiff('second', min(e.ts), min(a.at))) AS after_s
    FROM ${TABLES.actions} AS a INNER JOIN ${EVIDENCE} AS e USING (finding_id) GROUP BY a.finding_id
  ) AS first_acted ON first_acted.id = first.id
  LEFT JOIN (
    SELECT node, concat(':', toString(last.2), ':', toString(last.3)) AS word FROM (
      SELECT node, max((ingested_at, probe_epoch, seq)) AS last FROM ${TABLES.heartbeats}
      WHERE node IN (SELECT node FROM ${EVIDENCE} WHERE rule = 'probe-silent') GROUP BY node)
  ) AS heard ON heard.node = first.node
)`;

const CHOSEN = `${matches('workload')} AND ${matches('rule')}`;
const IN_TIME = 'last_seen >= $__fromTime AND first_seen <= $__toTime';
const COLUMNS = `first_seen, severity, rule, workload, path, node, runs, last_seen, state, actor, reason, digest,
  finding`;

const countOf = (state: string) =>
  `SELECT count() AS findings FROM ${FINDINGS} WHERE ${CHOSEN} AND ${IN_TIME} AND state = '${state}'`;

export const open = countOf('open');
export const acknowledged = countOf('acknowledged');
export const resolved = countOf('resolved');

export const firstSeen = `SELECT count() AS findings FROM ${FINDINGS} WHERE ${CHOSEN} AND $__timeFilter(first_seen)`;

export const answeredAfter = `SELECT quantileExact(0.5)(answered_after_s) AS seconds
FROM ${FINDINGS} WHERE ${CHOSEN} AND ${IN_TIME}`;

export const newOverTime = `SELECT $__timeInterval(first_seen) AS time, rule, count() AS findings
FROM ${FINDINGS} WHERE ${CHOSEN} AND $__timeFilter(first_seen) GROUP BY time, rule ORDER BY time, rule`;

export const list = `SELECT ${COLUMNS} FROM ${FINDINGS} WHERE ${CHOSEN} AND ${IN_TIME}
ORDER BY state = 'open' DESC, first_seen DESC LIMIT 500`;

export const ofWorkload = `SELECT ${COLUMNS} FROM ${FINDINGS} WHERE ${matches('workload')} AND ${IN_TIME}
ORDER BY state = 'open' DESC, first_seen DESC LIMIT 100`;

export const alertGroups = `SELECT min(first_seen) AS first_finding, any(f.severity) AS severity, any(f.rule) AS rule,
  argMin(f.path, first_seen) AS path, count() AS findings, uniqExact(workload) AS workloads, sum(f.runs) AS runs,
  countIf(state = 'open') AS open, alert_group
FROM ${FINDINGS} AS f WHERE ${matches('workload')} AND ${matches('rule', 'f.rule')} AND ${IN_TIME}
GROUP BY alert_group ORDER BY open > 0 DESC, first_finding DESC LIMIT 200`;

export const repeatedEvidence = `SELECT count() - uniqExact(finding_id) AS rows
FROM ${EVIDENCE} WHERE $__timeFilter(ingested_at)`;

export const storedAfter = `SELECT quantileExact(0.99)(greatest(0, dateDiff('millisecond', ts, ingested_at))) AS ms
FROM ${EVIDENCE} WHERE $__timeFilter(ingested_at) HAVING count() > 0`;

export const actions = `SELECT at, action, actor, reason, lower(hex(finding_id)) AS finding
FROM ${TABLES.actions} WHERE $__timeFilter(at) ORDER BY revision DESC LIMIT 200`;
