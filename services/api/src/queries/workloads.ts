/** Workloads, and what one of them did: who starts what, as whom, where, and how well it was seen. */
import type { Store } from '@bintrail/runtime/store.ts';
import { shown } from '../findings/subject.ts';
import { rfc3339FromNs, sqlTime } from '../time.ts';
import { type Judged, judgeExecutables, seenBefore } from './binaries.ts';
import { EXECUTABLE, type ExecutableKey, readExecutables } from './executables.ts';
import { isLike, type Scope, sqlScope, textParams } from './scope.ts';
import type { Judging } from './verdicts.ts';

/** Names of nodes and images shown of each workload in a list. */
export const MAX_NAMES = 20;
/** Rows of each part of a profile; the most frequent first. */
export const MAX_PART = 500;

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
  nodes: string;
  node_names: string[];
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
  const rows = await store.query<WorkloadRow>(
    `SELECT hex(workload) AS workload_hex, sum(seen) AS total,
       uniqExactIf(sha256, digest_reason = '') AS binaries, sumIf(seen, digest_reason = '') AS with_digest,
       uniqExact(node) AS nodes, arraySort(groupUniqArray(${MAX_NAMES})(node)) AS node_names,
       uniqExactIf(image, image != '') AS images,
       arraySort(groupUniqArrayIf(${MAX_NAMES})(image, image != '')) AS image_names,
       toUnixTimestamp64Nano(min(first)) AS first_ns, toUnixTimestamp64Nano(max(last)) AS last_ns
     FROM (
       SELECT workload, node, image, sha256, digest_reason, sum(n) AS seen, min(first_seen) AS first,
         max(last_seen) AS last
       FROM sighting_nodes WHERE ${place} AND ${hours} AND ${onNode} AND ${isAsked} AND ${isNext}
       GROUP BY workload, node, image, sha256, digest_reason HAVING seen > 0)
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
  const next = rows.length > limit ? shownRows.at(-1)!.workload_hex : undefined;
  return { workloads: shownRows.map(workloadOf), next };
}

function workloadOf(row: WorkloadRow) {
  return {
    workload: shown(row.workload_hex),
    exec_count: Number(row.total),
    binary_count: Number(row.binaries),
    digest_ratio: Number(row.with_digest) / Number(row.total),
    nodes: row.node_names,
    node_count: Number(row.nodes),
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
  const which = [...(after === undefined ? [] : [isNext]), ...(firstSeenSinceNs === undefined ? [] : [isNew])];
  const page = await readExecutables(store, scope, which.join(' AND ') || '1', {
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

/** The parts of a profile beside its executables. */
export async function readHabits(store: Store, asked: Scope) {
  const { params, place, hours, inWindow } = sqlScope(asked);
  const of = (table: string, columns: string, key: string) => `
    SELECT ${columns}, sum(n) AS total FROM ${table} WHERE ${place} AND ${hours}
    GROUP BY ${key} HAVING total > 0 AND ${inWindow} ORDER BY total DESC, ${key} LIMIT ${MAX_PART + 1}`;
  const read = async <Row>(table: string, columns: string, key: string) =>
    part(await store.query<Row & { total: string }>(of(table, columns, key), params));
  const [parents, users, nodes, images, digests] = await Promise.all([
    read<{ parent_hex: string; path_hex: string; role: string }>(
      'lineage',
      'hex(parent_path) AS parent_hex, hex(path) AS path_hex, role',
      'parent_path, path, role',
    ),
    read<{ uid: number }>('lineage', 'uid', 'uid'),
    read<{ node: string }>('sighting_nodes', 'node', 'node'),
    read<{ image: string }>('sighting_nodes', 'image', 'image'),
    read<{ digest_strength: string; digest_reason: string }>(
      'sightings',
      'digest_strength, digest_reason',
      'digest_strength, digest_reason',
    ),
  ]);
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
    digests: digestsOf(digests.rows),
    truncated: [parents, users, nodes, images, digests].some(({ truncated }) => truncated),
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
