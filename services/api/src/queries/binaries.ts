/** Binaries: everything seen of one content, judged together. */
import { candidateFilter } from '@bintrail/analysis/candidate-filter.ts';
import { type CombinedVerdict, worst } from '@bintrail/analysis/worst.ts';
import type { Parameter, Store } from '@bintrail/runtime/store.ts';
import type { Verdict, VerdictValue } from '@bintrail/schemas/sighting.ts';
import { countOf, MAX_NAMES } from '../executable-answer.ts';
import { sqlTime } from '../time.ts';
import { type Executable, HAS_DIGEST, readExecutables } from './executables.ts';
import { type Scope, type SqlScope, sqlScope } from './scope.ts';
import { type Judging, judgeSightings } from './verdicts.ts';

export type Judged = Executable & { readonly verdict: CombinedVerdict };

export type Binary = Judged & {
  readonly sha256: string;
  readonly execCount: number;
  /** The most frequent first, at most {@link MAX_NAMES}. */
  readonly nodes: readonly string[];
  readonly nodeCount: number;
};

export type BinariesQuestion = {
  readonly scope: Scope;
  readonly verdict?: VerdictValue | undefined;
  /** Only what was not seen in the scope before, whatever its window. */
  readonly firstSeenSinceNs?: bigint | undefined;
  readonly after: string | undefined;
  readonly limit: number;
};

// The verdict is no column: after this many kinds of sightings that do not pass, a page ends short.
const MAX_EXAMINED = 50_000;
const MAX_CHUNK = 1000;

/** A page in the order of digests. `next` is the last digest examined; undefined at the end. */
export async function listBinaries(
  store: Store,
  question: BinariesQuestion,
  judging: Judging,
): Promise<{ readonly binaries: Binary[]; readonly next: string | undefined }> {
  const { scope, verdict, limit } = question;
  const found: Judged[] = [];
  const page = async (next: string | undefined) => ({ binaries: await withNodes(store, scope, found), next });
  let { after } = question;
  let size = Math.min(limit + 1, MAX_CHUNK);
  for (let examined = 0; examined < MAX_EXAMINED; size = Math.min(size * 2, MAX_CHUNK)) {
    const digests = await readDigests(store, { ...question, after }, judging, size);
    if (digests.length === 0) return page(undefined);
    const chunk = await readExecutables(store, sqlScope(scope), AMONG_DIGESTS, { digests });
    for (const binary of await judgeExecutables(store, chunk.executables, judging)) {
      const passes = verdict === undefined || binary.verdict.value === verdict;
      if (passes && found.length === limit) return page(after);
      if (passes) found.push(binary);
      [after] = binary.key;
    }
    if (chunk.isEnd && digests.length < size) return page(undefined);
    // Digests that only the hours at the window's ends brought in have no rows left.
    if (chunk.isEnd) after = digests.at(-1);
    examined += Math.max(chunk.rowCount, digests.length);
  }
  return page(after);
}

const AMONG_DIGESTS = 'sha256 IN (SELECT toFixedString(unhex(arrayJoin({digests:Array(String)})), 32))';

/** The next digests that may be asked for; some may turn out not to be. */
async function readDigests(
  store: Store,
  { scope: asked, verdict, firstSeenSinceNs, after = '' }: BinariesQuestion,
  { approvals, nowMs }: Judging,
  size: number,
): Promise<string[]> {
  const scope = sqlScope(asked);
  const candidates = verdict === undefined ? { sql: '1', params: {} } : candidateFilter(approvals, verdict, nowMs);
  const rest = `${HAS_DIGEST} AND sha256 > toFixedString(unhex({after:String}), 32)`;
  const there = `${rest} AND ${scope.place} AND ${scope.hours}`;
  const conditions = [there, scope.ofSightings, candidates.sql];
  if (asked.node !== undefined) {
    conditions.push(`sha256 IN (SELECT sha256 FROM sighting_nodes WHERE ${there} AND ${scope.onNode})`);
  }
  if (firstSeenSinceNs !== undefined) {
    conditions.push(`sha256 NOT IN (SELECT sha256 FROM ${seenBefore(scope, rest)})`);
  }
  const rows = await store.query<{ sha: string }>(
    `SELECT lower(hex(digest)) AS sha FROM (
       SELECT DISTINCT sha256 AS digest FROM sightings WHERE ${conditions.join(' AND ')}
       ORDER BY sha256 LIMIT {size:UInt32}) ORDER BY digest`,
    {
      ...scope.params,
      ...(candidates.params as Record<string, Parameter>),
      after,
      size,
      ...(firstSeenSinceNs === undefined ? {} : { first_seen_since: sqlTime(firstSeenSinceNs) }),
    },
  );
  return rows.map(({ sha }) => sha);
}

/** Rows of the scope from before `{first_seen_since}`, at any time. */
export function seenBefore({ place, ofSightings, onNode }: SqlScope, which: string): string {
  const isOld = "first_seen < {first_seen_since:DateTime64(9, 'UTC')}";
  const [table, rest] = onNode === '1' ? ['sightings', ofSightings] : ['sighting_nodes', onNode];
  return `${table} WHERE ${which} AND ${place} AND ${rest} AND ${isOld}`;
}

/** One binary in a scope; undefined when it was not seen there. */
export async function readBinary(
  store: Store,
  sha256: string,
  scope: Scope,
  judging: Judging,
): Promise<Binary | undefined> {
  const which = 'sha256 = toFixedString(unhex({sha256:String}), 32)';
  const { executables } = await readExecutables(store, sqlScope(scope), which, { sha256 });
  const [binary] = await withNodes(store, scope, await judgeExecutables(store, executables, judging));
  return binary;
}

/** The worst verdict of each. */
export async function judgeExecutables(
  store: Store,
  executables: readonly Executable[],
  judging: Judging,
): Promise<Judged[]> {
  const sightings = executables.flatMap(({ seen }) => seen.map(({ sighting }) => sighting));
  const verdicts = (await judgeSightings(store, sightings, judging)).values();
  return executables.map((executable) => {
    const judged = executable.seen.map(({ n }) => ({ verdict: verdicts.next().value as Verdict, n }));
    return { ...executable, verdict: worst(judged) };
  });
}

type NodeRow = { sha: string; node: string; nodes: string; total: string };

async function withNodes(store: Store, asked: Scope, binaries: readonly Judged[]): Promise<Binary[]> {
  if (binaries.length === 0) return [];
  const { params, place, hours, ofSightings, onNode, inWindow } = sqlScope(asked);
  const there = `${AMONG_DIGESTS} AND ${place} AND ${hours}`;
  const ofPackage =
    ofSightings === '1'
      ? '1'
      : `(sha256, workload, path) IN (SELECT sha256, workload, path FROM sightings WHERE ${there} AND ${ofSightings})`;
  const rows = await store.query<NodeRow>(
    `SELECT lower(hex(sha256)) AS sha, node, count() OVER one AS nodes, sum(seen) OVER one AS total FROM (
       SELECT sha256, node, sum(n) AS seen FROM sighting_nodes WHERE ${there} AND ${onNode} AND ${ofPackage}
       GROUP BY sha256, node HAVING seen > 0 AND ${inWindow})
     WINDOW one AS (PARTITION BY sha256) ORDER BY sha256, seen DESC, node LIMIT ${MAX_NAMES} BY sha256`,
    { ...params, digests: binaries.map(({ key }) => key[0]) },
  );
  const nodes = Map.groupBy(rows, ({ sha }) => sha);
  return binaries.map((binary) => {
    const [sha256] = binary.key;
    const on = nodes.get(sha256) ?? [];
    // Kinds that share an hour on the node asked for may each be counted in full: the node's own count is right.
    const execCount = asked.node === undefined ? countOf(binary.seen) : Number(on[0]?.total ?? 0);
    return { ...binary, sha256, execCount, nodes: on.map(({ node }) => node), nodeCount: Number(on[0]?.nodes ?? 0) };
  });
}
