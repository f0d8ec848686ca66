/** Counts, times, nodes and everything to judge by, read from the roll-ups for many findings at once. */
import type { Store } from '@bintrail/runtime/store.ts';
import type { Sighting } from '@bintrail/schemas/sighting.ts';
import {
  KIND_COLUMNS,
  KIND_CONDITIONS,
  SUBJECT_KINDS,
  type Subject,
  type SubjectKind,
  shown,
  storedPairs,
  subjectKey,
} from './subject.ts';

export type SeenSighting = {
  readonly sighting: Sighting;
  readonly n: number;
  readonly firstNs: bigint;
  readonly lastNs: bigint;
};

export type SeenNodes = {
  /** The first of them by name, at most {@link MAX_NODES}. */
  readonly names: readonly string[];
  readonly count: number;
  /** Whether the node that was asked for is among all of them. */
  readonly hasAsked: boolean;
};

export type Facts = {
  readonly sightings: ReadonlyMap<string, readonly SeenSighting[]>;
  readonly nodes: ReadonlyMap<string, SeenNodes>;
};

export const MAX_NODES = 100;

// ClickHouse refuses a parameter of more than 128 KiB (http_max_field_value_size, measured); a pair travels in two.
const MAX_PARAM_BYTES = 96 * 1024;
const QUOTES_BYTES = 3;

/** Facts of each subject, by its key; a subject without sightings (yet) has no entry. */
export async function readFacts(store: Store, subjects: readonly Subject[], node: string | undefined): Promise<Facts> {
  const sightings = new Map<string, SeenSighting[]>();
  const nodes = new Map<string, SeenNodes>();
  for (const kind of SUBJECT_KINDS) {
    for (const pairs of cutPairs(subjects.filter((subject) => subject.kind === kind).flatMap(storedPairs))) {
      const [seen, where] = await Promise.all([readSightings(store, kind, pairs), readNodes(store, kind, pairs, node)]);
      for (const row of seen) append(sightings, keyOf(kind, row), toSeen(row));
      for (const row of where) nodes.set(keyOf(kind, row), toNodes(row));
    }
  }
  return { sightings, nodes };
}

export type Pair = readonly [workload: string, value: string];

/** Pairs in parts that each fit the parameters of {@link pairParams}. */
export function* cutPairs(pairs: readonly Pair[]): Iterable<Pair[]> {
  let chunk: Pair[] = [];
  let sizeBytes = 0;
  for (const pair of pairs) {
    const pairBytes = Math.max(pair[0].length, pair[1].length) + QUOTES_BYTES;
    if (chunk.length > 0 && sizeBytes + pairBytes > MAX_PARAM_BYTES) {
      yield chunk;
      [chunk, sizeBytes] = [[], 0];
    }
    chunk.push(pair);
    sizeBytes += pairBytes;
  }
  if (chunk.length > 0) yield chunk;
}

function conditionOf(table: keyof typeof KIND_CONDITIONS, kind: SubjectKind): string {
  const { column, fromHex } = KIND_COLUMNS[kind];
  return `(workload, ${column}) IN (
    SELECT unhex(pair.1), ${fromHex}
    FROM (SELECT arrayJoin(arrayZip({workloads:Array(String)}, {values:Array(String)})) AS pair)
  ) AND ${KIND_CONDITIONS[table][kind]}`;
}

export function pairParams(pairs: readonly Pair[]): { workloads: string[]; values: string[] } {
  return { workloads: pairs.map(([workload]) => workload), values: pairs.map(([, value]) => value) };
}

/** What names the subject of a row; all texts in hex. */
type SubjectColumns = { workload_hex: string; value_hex: string };

type SightingRow = SubjectColumns & {
  role: Sighting['role'];
  sha: string;
  path_hex: string;
  image: string;
  package: string;
  package_version: string;
  package_match: Sighting['package_match'];
  upper_layer: number;
  digest_strength: Sighting['digest_strength'];
  digest_reason: Sighting['digest_reason'];
  total: string;
  first_ns: string;
  last_ns: string;
};

function readSightings(store: Store, kind: SubjectKind, pairs: readonly Pair[]): Promise<SightingRow[]> {
  return store.query(
    `SELECT hex(workload) AS workload_hex, hex(${KIND_COLUMNS[kind].column}) AS value_hex, role,
       lower(hex(sha256)) AS sha, hex(path) AS path_hex, image, package, package_version, package_match, upper_layer,
       digest_strength, digest_reason, sum(n) AS total,
       toUnixTimestamp64Nano(min(first_seen)) AS first_ns, toUnixTimestamp64Nano(max(last_seen)) AS last_ns
     FROM sightings WHERE ${conditionOf('sightings', kind)}
     GROUP BY workload, role, sha256, path, image, package, package_version, package_match, upper_layer,
       digest_strength, digest_reason
     HAVING total > 0`,
    pairParams(pairs),
  );
}

type NodeRow = SubjectColumns & { names: string[]; nodes: string; has_asked: string };

function readNodes(store: Store, kind: SubjectKind, pairs: readonly Pair[], node = ''): Promise<NodeRow[]> {
  const { column } = KIND_COLUMNS[kind];
  return store.query(
    `SELECT hex(workload) AS workload_hex, hex(${column}) AS value_hex, groupArray(${MAX_NODES})(node) AS names,
       count() AS nodes, countIf(node = {node:String}) AS has_asked
     FROM (
       SELECT workload, ${column}, node FROM sighting_nodes WHERE ${conditionOf('sighting_nodes', kind)}
       GROUP BY workload, ${column}, node HAVING sum(n) > 0 ORDER BY node
     )
     GROUP BY workload, ${column}`,
    { ...pairParams(pairs), node },
  );
}

function keyOf(kind: SubjectKind, { workload_hex, value_hex }: SubjectColumns): string {
  const value = kind === 'content' ? value_hex.toLowerCase() : shown(value_hex);
  return subjectKey({ kind, workload: shown(workload_hex), value });
}

const NO_DIGEST = '0'.repeat(64);

function toSeen({
  sha,
  path_hex,
  workload_hex,
  upper_layer,
  total,
  first_ns,
  last_ns,
  ...row
}: SightingRow): SeenSighting {
  const { value_hex: _, ...rest } = row;
  return {
    sighting: {
      ...rest,
      workload: shown(workload_hex),
      sha256: sha === NO_DIGEST ? '' : sha,
      path: shown(path_hex),
      upper_layer: upper_layer === 1,
    },
    n: Number(total),
    firstNs: BigInt(first_ns),
    lastNs: BigInt(last_ns),
  };
}

function toNodes({ names, nodes, has_asked }: NodeRow): SeenNodes {
  return { names: names.toSorted(), count: Number(nodes), hasAsked: has_asked !== '0' };
}

function append<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
}
