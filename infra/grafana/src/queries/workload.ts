import { chosen, DIGEST_HEX, HAS_DIGEST, IN_HOURS, STRONG_WORDS } from '../sql.ts';
import { TABLES } from '../tables.ts';

const IS_WORKLOAD = `workload = ${chosen('workload')}`;
const SEEN = `${TABLES.sightings} WHERE ${IN_HOURS} AND ${IS_WORKLOAD}`;

export const runs = `SELECT sum(n) AS runs FROM ${SEEN}`;
export const binaries = `SELECT count() AS binaries
FROM (SELECT sha256 FROM ${SEEN} AND ${HAS_DIGEST} GROUP BY sha256 HAVING sum(n) > 0)`;
export const withDigest = `SELECT sumIf(n, ${HAS_DIGEST}) / sum(n) AS share FROM ${SEEN} HAVING sum(n) > 0`;
export const strong = `SELECT sumIf(n, digest_strength IN (${STRONG_WORDS})) / sum(n) AS share
FROM ${SEEN} HAVING sum(n) > 0`;

const NEW = `SELECT sha256, min(first_seen) AS since, argMin(path, first_seen) AS first_path,
  argMin(package_match, first_seen) AS match, argMin(digest_strength, first_seen) AS strength, sum(n) AS runs
FROM ${TABLES.sightings} WHERE ${IS_WORKLOAD} AND sha256 IN (SELECT sha256 FROM ${SEEN} AND ${HAS_DIGEST})
GROUP BY sha256 HAVING runs > 0 AND since >= $__fromTime`;

export const newBinaries = `SELECT count() AS binaries FROM (${NEW})`;
export const newBinariesList = `SELECT since AS first_seen, first_path AS path, match AS package_match, strength, runs,
  ${DIGEST_HEX} AS digest
FROM (${NEW}) ORDER BY since DESC LIMIT 200`;

export const runsByPath = `SELECT $__timeInterval(hour) AS time, path, sum(n) AS runs
FROM ${SEEN} AND path IN (SELECT path FROM ${SEEN} GROUP BY path ORDER BY sum(n) DESC LIMIT 10)
GROUP BY time, path HAVING runs > 0 ORDER BY time, path`;

export const programs = `SELECT path, role, sum(n) AS runs, min(first_seen) AS first_at, max(last_seen) AS last_at, package,
  package_version, package_match, digest_strength AS strength, digest_reason AS reason,
  if(${HAS_DIGEST}, ${DIGEST_HEX}, '') AS digest
FROM ${SEEN}
GROUP BY path, role, package, package_version, package_match, digest_strength, digest_reason, sha256 HAVING runs > 0
ORDER BY runs DESC LIMIT 500`;

export const parents = `SELECT parent_path AS started_by, path, uid, sum(n) AS runs, max(last_seen) AS last_at
FROM ${TABLES.lineage} WHERE ${IN_HOURS} AND ${IS_WORKLOAD}
GROUP BY parent_path, path, uid HAVING runs > 0 ORDER BY runs DESC LIMIT 200`;

export const nodes = `SELECT node, image, sum(n) AS runs, uniqExactIf(sha256, ${HAS_DIGEST}) AS binaries,
  min(first_seen) AS first_at, max(last_seen) AS last_at
FROM ${TABLES.sightingNodes} WHERE ${IN_HOURS} AND ${IS_WORKLOAD}
GROUP BY node, image HAVING runs > 0 ORDER BY runs DESC LIMIT 200`;
