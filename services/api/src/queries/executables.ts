/** Executables out of the roll-ups: all sightings of one content, or of one path that has no digest, together. */
import type { Parameter, Store } from '@bintrail/runtime/store.ts';
import type { Sighting } from '@bintrail/schemas/sighting.ts';
import type { SeenSighting } from '../findings/facts.ts';
import { shown } from '../findings/subject.ts';
import type { SqlScope } from './scope.ts';
import { type Sums, sumsIn } from './sums.ts';

/** Lists are in this order. Path and reason, in hex, are empty where there is a digest. */
export type ExecutableKey = [sha256: string, pathHex: string, reasonHex: string];

export type Executable = {
  readonly key: ExecutableKey;
  /** Most frequent first. */
  readonly seen: readonly SeenSighting[];
  /** More than {@link MAX_KINDS} kinds of sightings: the rarest are left out. */
  readonly truncated: boolean;
};

export type ExecutablesPage = {
  readonly executables: readonly Executable[];
  readonly rowCount: number;
  /** Nothing comes after these. */
  readonly isEnd: boolean;
};

/** Kinds of sightings (everything but the hour) read of one executable. */
export const MAX_KINDS = 10_000;
const MAX_ROWS = 50_000;

const NO_DIGEST = '0'.repeat(64);
export const HAS_DIGEST = "sha256 != toFixedString('', 32)";
const PATH_IF_ABSENT = "if(sha256 = toFixedString('', 32), path, '')";
export const EXECUTABLE = `sha256, ${PATH_IF_ABSENT}, digest_reason`;

const KIND =
  'sha256, workload, path, role, image, package, package_version, package_match, upper_layer, ' +
  'digest_strength, digest_reason';
const SEEN_ON = 'sha256, workload, path, role, image, package_match, digest_reason, hour';

// Packages and strengths are not kept by node. Where several kinds share an hour, each may be the node's: all are
// counted, so that none that is worse hides behind another.
function rowsOf({ window, place, hours, ofSightings, onNode }: SqlScope, which: string): Sums {
  if (onNode === '1') return sumsIn('sightings', window, KIND.split(/, */), `${which} AND ${place} AND ${ofSightings}`);
  const there = `${which} AND ${place} AND ${hours}`;
  const sql = `(
    SELECT ${KIND}, least(kinds.total, on_node.total) AS n, on_node.earliest AS first_seen, on_node.latest AS last_seen
    FROM (
      SELECT ${KIND}, hour, sum(n) AS total FROM sightings WHERE ${there} AND ${ofSightings}
      GROUP BY ${KIND}, hour HAVING total > 0
    ) AS kinds
    INNER JOIN (
      SELECT ${SEEN_ON}, sum(n) AS total, min(first_seen) AS earliest, max(last_seen) AS latest
      FROM sighting_nodes WHERE ${there} AND ${onNode} GROUP BY ${SEEN_ON} HAVING total > 0
    ) AS on_node USING (${SEEN_ON}))`;
  return { sql, params: {} };
}

type Row = {
  sha: string;
  workload_hex: string;
  path_hex: string;
  reason_hex: string;
  role: Sighting['role'];
  image: string;
  package: string;
  package_version: string;
  package_match: Sighting['package_match'];
  upper_layer: number;
  digest_strength: Sighting['digest_strength'];
  total: string;
  first_ns: string;
  last_ns: string;
};

/**
 * Whole executables of a scope in the order of their keys, at most some 50,000 kinds of sightings; go on after the last
 * of them. `which` is a further condition on columns that both roll-ups have, `params` its parameters.
 */
export async function readExecutables(
  store: Store,
  scope: SqlScope,
  which: string,
  params: Readonly<Record<string, Parameter>>,
): Promise<ExecutablesPage> {
  const there = rowsOf(scope, which);
  const rows = await store.query<Row>(
    `SELECT lower(hex(sha256)) AS sha, hex(workload) AS workload_hex, hex(path) AS path_hex,
       hex(digest_reason) AS reason_hex, role, image, package, package_version, package_match, upper_layer,
       digest_strength, sum(n) AS total, toUnixTimestamp64Nano(min(first_seen)) AS first_ns,
       toUnixTimestamp64Nano(max(last_seen)) AS last_ns
     FROM ${there.sql} GROUP BY ${KIND} HAVING total > 0 AND ${scope.inWindow}
     ORDER BY ${EXECUTABLE}, total DESC LIMIT ${MAX_KINDS + 1} BY ${EXECUTABLE} LIMIT ${MAX_ROWS + 1}`,
    { ...scope.params, ...there.params, ...params },
  );
  const groups = grouped(rows);
  const isEnd = rows.length <= MAX_ROWS;
  // The last one may go on beyond the limit; there is another before it, as one has fewer rows than that.
  return { executables: isEnd ? groups : groups.slice(0, -1), rowCount: rows.length, isEnd };
}

function grouped(rows: readonly Row[]): Executable[] {
  const groups = new Map<string, { key: ExecutableKey; seen: SeenSighting[]; truncated: boolean }>();
  for (const row of rows) {
    const key = keyOf(row);
    const group = groups.get(key.join());
    if (group === undefined) groups.set(key.join(), { key, seen: [seenOf(row)], truncated: false });
    else if (group.seen.length === MAX_KINDS) group.truncated = true;
    else group.seen.push(seenOf(row));
  }
  return [...groups.values()];
}

function keyOf({ sha, path_hex, reason_hex }: Row): ExecutableKey {
  return sha === NO_DIGEST ? [sha, path_hex, reason_hex] : [sha, '', ''];
}

function seenOf({ sha, workload_hex, path_hex, reason_hex, upper_layer, total, first_ns, last_ns, ...row }: Row) {
  const sighting: Sighting = {
    ...row,
    sha256: sha === NO_DIGEST ? '' : sha,
    workload: shown(workload_hex),
    path: shown(path_hex),
    digest_reason: shown(reason_hex) as Sighting['digest_reason'],
    upper_layer: upper_layer === 1,
  };
  return { sighting, n: Number(total), firstNs: BigInt(first_ns), lastNs: BigInt(last_ns) };
}
