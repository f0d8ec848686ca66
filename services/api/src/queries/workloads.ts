/** Workloads, and what one of them did: who starts what, as whom, where, and how well it was seen. */
import type { Store } from '@bintrail/runtime/store.ts';
import { shown } from '../findings/subject.ts';
import { rfc3339FromNs, sqlTime } from '../time.ts';
import { type Judged, judgeExecutables, seenBefore } from './binaries.ts';
import { EXECUTABLE, type ExecutableKey, readExecutables } from './executables.ts';
import { isLike, type Scope, sqlScope, textParams } from './scope.ts';
import { sumsIn } from './sums.ts';
import type { Judging } from './verdicts.ts';

/** Names of nodes and images shown of each workload in a list. */
export const MAX_NAMES = 20;
/** Rows of each part of a profile; the most frequent first. */
export const MAX_PART = 500;

/** What a container's runtime starts in its cgroup is the host's program, and no part of what the workload runs. */
const IS_OWN = "role != 'setup'";

export type WorkloadsQuestion = {
  readonly scope: Scope;
  /** A workload id, or a prefix that ends in `*`. */
  readonly pattern?: string | undefined;
  /** In hex. */
  readonly after: string | undefined;
  readonly limit: number;
};

type WorkloadRow = {
  workload_hex: string;
  total: string;
  binaries: string;
  with_digest: string;
  images: string;
  image_names: string[];
  first_ns: string;
  last_ns: string;
};

/** A page in the order of ids. `next` is the last one, in hex; undefined at the end. */
export async function listWorkloads(store: Store, { scope, pattern, after, limit }: WorkloadsQuestion) {
  const { params, place, hours, onNode } = sqlScope(scope);
  const isAsked = pattern === undefined ? '1' : isLike('workload', pattern);
  const isNext = after === undefined ? '1' : 'workload > unhex({after:String})';
  const [table, onIt] = scope.node === undefined ? ['sightings', '1'] : ['sighting_nodes', onNode];
  const rows = await store.query<WorkloadRow>(
    `SELECT hex(workload) AS workload_hex, sum(seen) AS total,
       uniqExactIf(sha256, digest_reason = '') AS binaries, sumIf(seen, digest_reason = '') AS with_digest,
       uniqExactIf(image, image != '') AS images,
       arraySort(groupUniqArrayIf(${MAX_NAMES})(image, image != '')) AS image_names,
       toUnixTimestamp64Nano(min(first)) AS first_ns, toUnixTimestamp64Nano(max(last)) AS last_ns
     FROM (
       SELECT workload, image, sha256, digest_reason, sum(n) AS seen, min(first_seen) AS first, max(last_seen) AS last
       FROM ${table} WHERE ${IS_OWN} AND ${place} AND ${hours} AND ${onIt} AND ${isAsked} AND ${isNext}
       GROUP BY workload, image, sha256, digest_reason HAVING seen > 0)
     GROUP BY workload
     HAVING max(last) >= {since:DateTime64(9, 'UTC')} AND min(first) < {until:DateTime64(9, 'UTC')}
     ORDER BY workload LIMIT {rows:UInt32}`,
    {
      ...params,
      ...(pattern === undefined ? {} : textParams('workload', pattern.replace(/\*$/, ''))),
      ...(after === undefined ? {} : { after }),
      rows: limit + 1,
    },
  );
  const shownRows = rows.slice(0, limit);
  const nodes = await nodesOfWorkloads(store, scope, shownRows);
  const next = rows.length > limit ? shownRows.at(-1)!.workload_hex : undefined;
  return { workloads: shownRows.map((row) => workloadOf(row, nodes.get(row.workload_hex))), next };
}

type NodesRow = { workload_hex: string; nodes: string; node_names: string[] };

/** Of workloads that follow one another in the order of ids. */
async function nodesOfWorkloads(store: Store, scope: Scope, workloads: readonly WorkloadRow[]) {
  const [first, last] = [workloads[0]?.workload_hex, workloads.at(-1)?.workload_hex];
  if (first === undefined || last === undefined) return new Map<string, NodesRow>();
  const { params, place, onNode } = sqlScope(scope);
  const where = `${IS_OWN} AND ${place} AND ${onNode} AND workload >= unhex({first:String}) AND workload <= unhex({last:String})`;
  const there = sumsIn('sighting_nodes', scope.window, ['workload', 'node'], where);
  const rows = await store.query<NodesRow>(
    `SELECT hex(workload) AS workload_hex, count() AS nodes,
       groupArraySorted(${MAX_NAMES})(node) AS node_names
     FROM (SELECT workload, node FROM ${there.sql} GROUP BY workload, node HAVING sum(n) > 0)
     GROUP BY workload`,
    { ...params, ...there.params, first, last },
  );
  return new Map(rows.map((row) => [row.workload_hex, row]));
}

function workloadOf(row: WorkloadRow, on: NodesRow | undefined) {
  return {
    workload: shown(row.workload_hex),
    exec_count: Number(row.total),
    binary_count: Number(row.binaries),
    digest_ratio: Number(row.with_digest) / Number(row.total),
    nodes: on?.node_names ?? [],
    node_count: Number(on?.nodes ?? 0),
    images: row.image_names,
    image_count: Number(row.images),
    first_seen: rfc3339FromNs(BigInt(row.first_ns)),
    last_seen: rfc3339FromNs(BigInt(row.last_ns)),
  };
}

/** Whether a workload was ever seen. */
export async function isKnownWorkload(store: Store, workload: string): Promise<boolean> {
  const rows = await store.query(`SELECT 1 FROM lineage WHERE ${isLike('workload', workload)} LIMIT 1`, {
    ...textParams('workload', workload),
  });
  return rows.length > 0;
}

export type ExecutablesQuestion = {
  readonly scope: Scope;
  readonly firstSeenSinceNs?: bigint | undefined;
  readonly after: ExecutableKey | undefined;
  readonly limit: number;
};

/** A page of what a workload ran. `next` is the key of the last one; undefined at the end. */
export async function listExecutables(
  store: Store,
  { scope: asked, firstSeenSinceNs, after, limit }: ExecutablesQuestion,
  judging: Judging,
): Promise<{ readonly executables: Judged[]; readonly next: ExecutableKey | undefined }> {
  const scope = sqlScope(asked);
  const [sha256 = '', pathHex = '', reasonHex = ''] = after ?? [];
  const isNext = `(${EXECUTABLE}) >
    (toFixedString(unhex({after:String}), 32), unhex({after_path:String}), unhex({after_reason:String}))`;
  const isNew = `(${EXECUTABLE}) NOT IN (SELECT ${EXECUTABLE} FROM ${seenBefore(scope, '1')})`;
  const which = [IS_OWN, ...(after === undefined ? [] : [isNext]), ...(firstSeenSinceNs === undefined ? [] : [isNew])];
  const page = await readExecutables(store, scope, which.join(' AND '), {
    ...(after === undefined ? {} : { after: sha256, after_path: pathHex, after_reason: reasonHex }),
    ...(firstSeenSinceNs === undefined ? {} : { first_seen_since: sqlTime(firstSeenSinceNs) }),
  });
  const executables = page.executables.slice(0, limit);
  const isEnd = page.isEnd && executables.length === page.executables.length;
  return {
    executables: await judgeExecutables(store, executables, judging),
    next: isEnd ? undefined : executables.at(-1)?.key,
  };
}

type Part<Row> = { readonly rows: Row[]; readonly truncated: boolean };

function part<Row>(rows: Row[]): Part<Row> {
  return { rows: rows.slice(0, MAX_PART), truncated: rows.length > MAX_PART };
}

type Counted = { total: string; part: number };
type LineageRow = Counted & { parent_hex: string; path_hex: string; role: string; uid: number };
type PlaceRow = Counted & { node: string; image: string };

/** The parts of a profile beside its executables. */
export async function readHabits(store: Store, asked: Scope) {
  const { params, place, hours, inWindow } = sqlScope(asked);
  const top = `HAVING total > 0 AND ${inWindow} ORDER BY total DESC`;
  const own = `${IS_OWN} AND ${place}`;
  const places = sumsIn('sighting_nodes', asked.window, ['node', 'image'], own);
  const contents = sumsIn('sightings', asked.window, ['digest_strength', 'digest_reason'], own);
  const setups = sumsIn('sightings', asked.window, ['role'], `role = 'setup' AND ${place}`);
  const [lineage, there, digests, setup] = await Promise.all([
    store.query<LineageRow>(
      `SELECT hex(parent_path) AS parent_hex, hex(path) AS path_hex, role, uid, sum(n) AS total, toUInt8(grouping(uid)) AS part
       FROM lineage WHERE ${own} AND ${hours} GROUP BY GROUPING SETS ((parent_path, path, role), (uid))
       ${top}, parent_path, path, role, uid LIMIT ${MAX_PART + 1} BY part`,
      params,
    ),
    store.query<PlaceRow>(
      `SELECT node, image, sum(n) AS total, toUInt8(grouping(image)) AS part FROM ${places.sql}
       GROUP BY GROUPING SETS ((node), (image)) ${top}, node, image LIMIT ${MAX_PART + 1} BY part`,
      { ...params, ...places.params },
    ),
    store.query<DigestRow>(
      `SELECT digest_strength, digest_reason, sum(n) AS total FROM ${contents.sql}
       GROUP BY digest_strength, digest_reason ${top}, digest_strength, digest_reason LIMIT ${MAX_PART + 1}`,
      { ...params, ...contents.params },
    ),
    store.query<{ total: string }>(`SELECT sum(n) AS total FROM ${setups.sql}`, { ...params, ...setups.params }),
  ]);
  // grouping() is 1 for a column that the row is not grouped by.
  const [parents, users, nodes, images, evidence] = [
    part(lineage.filter((row) => row.part === 1)),
    part(lineage.filter((row) => row.part === 0)),
    part(there.filter((row) => row.part === 1)),
    part(there.filter((row) => row.part === 0)),
    part(digests),
  ];
  return {
    parents: parents.rows.map(({ parent_hex, path_hex, role, total }) => ({
      parent_path: shown(parent_hex),
      path: shown(path_hex),
      role,
      count: Number(total),
    })),
    users: users.rows.map(({ uid, total }) => ({ uid, count: Number(total) })),
    nodes: nodes.rows.map(({ node, total }) => ({ node, count: Number(total) })),
    images: images.rows
      .filter(({ image }) => image !== '')
      .map(({ image, total }) => ({ image, count: Number(total) })),
    digests: digestsOf(evidence.rows),
    setup_count: Number(setup[0]?.total ?? 0),
    truncated: [parents, users, nodes, images, evidence].some(({ truncated }) => truncated),
  };
}

type DigestRow = { readonly digest_strength: string; readonly digest_reason: string; readonly total: string };

function digestsOf(rows: readonly DigestRow[]) {
  const counts = (isOne: (row: DigestRow) => boolean, name: 'digest_strength' | 'digest_reason') =>
    Object.fromEntries(rows.filter(isOne).map((row) => [row[name], Number(row.total)]));
  const strengths = counts(({ digest_reason }) => digest_reason === '', 'digest_strength');
  const missing = counts(({ digest_reason }) => digest_reason !== '', 'digest_reason');
  const [found, absent] = [strengths, missing].map((part) => Object.values(part).reduce((sum, n) => sum + n, 0));
  return { ratio: found! + absent! === 0 ? null : found! / (found! + absent!), strengths, missing };
}
