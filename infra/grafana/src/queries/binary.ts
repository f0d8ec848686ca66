import { IN_HOURS, IS_DIGEST, matches } from '../sql.ts';
import { TABLES } from '../tables.ts';

const THIS = `${IS_DIGEST} AND ${matches('workload')} AND ${matches('node')}`;
const SEEN = `${TABLES.sightingNodes} WHERE ${IN_HOURS} AND ${THIS}`;
// At any time: a first sight must not depend on the window.
const EVER = `${TABLES.sightingNodes} WHERE ${THIS} HAVING sum(n) > 0`;

export const runs = `SELECT sum(n) AS runs FROM ${SEEN}`;
export const nodes = `SELECT count() AS nodes FROM (SELECT node FROM ${SEEN} GROUP BY node HAVING sum(n) > 0)`;
export const workloads = `SELECT count() AS workloads
FROM (SELECT workload FROM ${SEEN} GROUP BY workload HAVING sum(n) > 0)`;
export const firstSeen = `SELECT toUnixTimestamp64Milli(min(first_seen)) AS first_at FROM ${EVER}`;
export const lastSeen = `SELECT toUnixTimestamp64Milli(max(last_seen)) AS last_at FROM ${EVER}`;

export const where = `SELECT node, workload, image, path, role, sum(n) AS runs, min(first_seen) AS first_at,
  max(last_seen) AS last_at
FROM ${SEEN} GROUP BY node, workload, image, path, role HAVING runs > 0 ORDER BY last_at DESC LIMIT 500`;

export const when = `SELECT $__timeInterval(hour) AS time, node, sum(n) AS runs
FROM ${SEEN} GROUP BY time, node HAVING runs > 0 ORDER BY time, node`;

export const evidence = `SELECT digest_strength AS strength, package, package_version, package_match, path,
  if(upper_layer = 1, 'yes', 'no') AS written_in_container, sum(n) AS runs, max(last_seen) AS last_at
FROM ${TABLES.sightings} WHERE ${IN_HOURS} AND ${IS_DIGEST} AND ${matches('workload')}
GROUP BY strength, package, package_version, package_match, path, upper_layer HAVING runs > 0
ORDER BY runs DESC LIMIT 200`;

// A late digest stands in for the run that left as pending; that row itself has no digest and is not met twice.
const runsIn = (table: string, { ts, role, argv }: { ts: string; role: string; argv: string }) => `
  SELECT ${ts} AS at, node, workload, pid, uid, parent_path, path, ${role} AS as_role, ${argv} AS arguments
  FROM ${table} WHERE $__timeFilter_ms(${ts}) AND ${THIS}`;
const RUNS = `(${[
  runsIn(TABLES.execs, { ts: 'ts', role: "'exec'", argv: "replaceAll(argv, char(0), ' ')" }),
  runsIn(TABLES.loads, { ts: 'ts', role: 'role', argv: "''" }),
  runsIn(TABLES.digests, { ts: 'event_ts', role: 'role', argv: "''" }),
].join('\n  UNION ALL')})`;

export const who = `SELECT uid, parent_path AS started_by, workload, count() AS runs, uniqExact(node) AS nodes,
  max(at) AS last_at
FROM ${RUNS} GROUP BY uid, started_by, workload ORDER BY runs DESC LIMIT 200`;

export const latest = `SELECT at, node, workload, as_role AS role, pid, uid, parent_path AS started_by, path, arguments
FROM ${RUNS} ORDER BY at DESC LIMIT 200`;
