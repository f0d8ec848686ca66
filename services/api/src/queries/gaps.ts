/** Times without a probe, and what the census counted in them (the view run_gaps of schemas/migrations). */
import type { Store } from '@bintrail/runtime/store.ts';
import type { GapSums, ProbeGap } from '../coverage-answer.ts';
import { rfc3339FromNs } from '../time.ts';

/** Whole seconds since the epoch. */
type Seconds = { readonly since_s: number; readonly until_s: number };

/** Newest of a node that are listed; all of them are counted. */
const MAX_LISTED = 100;

// Nodes where a run began in the window or went silent in it, by heartbeats: cheap to find, and the view is not.
const suspects = (node: string | undefined) => `SELECT node FROM (
    SELECT node, min(first_seen) AS began, max(last_seen) AS ended, max(last_ingest) AS heard FROM run_counts
    WHERE place = 'heartbeat' AND ${isOn(node)} GROUP BY node, boot, probe_epoch
  ) GROUP BY node HAVING max(began) > toDateTime({since_s:UInt32}, 'UTC')
    OR (max(heard) < now64(3) - INTERVAL 60 SECOND AND max(ended) >= toDateTime({since_s:UInt32}, 'UTC'))`;

// A gap that is still open counts where it began: the node may be gone for good.
const gapsIn = (node: string | undefined) => `run_gaps WHERE since < toDateTime({until_s:UInt32}, 'UTC')
  AND if(isNull(until), since >= toDateTime({since_s:UInt32}, 'UTC'), until > toDateTime({since_s:UInt32}, 'UTC'))
  AND ${isOn(node)} AND node IN (${suspects(node)})`;

function isOn(node: string | undefined): string {
  return node === undefined ? '1' : 'node = {node:String}';
}

const asked = (window: Seconds, node: string | undefined) => ({ ...window, ...(node === undefined ? {} : { node }) });

/** `unseen`: of the missing ones, those that no report of the probe had counted as seen. */
export type GapTotals = GapSums & { readonly unseen: number };

export const NO_GAPS: GapTotals = { count: 0, unknown: 0, missed: 0, unseen: 0 };

/**
 * Gaps that reach into the window, by node; nodes without are left out. Numbers are of whole gaps: when in it something
 * ran, nobody knows.
 */
export async function gapsByNode(
  store: Store,
  window: Seconds,
  node: string | undefined,
): Promise<Map<string, GapTotals>> {
  const some = await store.query(`SELECT 1 FROM (${suspects(node)}) LIMIT 1`, asked(window, node));
  if (some.length === 0) return new Map();
  const rows = await store.query<{ node: string } & Record<keyof GapTotals, string | null>>(
    `SELECT node, count() AS count, countIf(isNull(g.missed)) AS unknown, sum(g.missed) AS missed, sum(g.unseen) AS unseen
     FROM (SELECT node, missed, unseen FROM ${gapsIn(node)}) AS g GROUP BY node`,
    asked(window, node),
  );
  return new Map(
    rows.map(({ node, count, unknown, missed, unseen }) => [
      node,
      { count: Number(count), unknown: Number(unknown), missed: Number(missed ?? 0), unseen: Number(unseen ?? 0) },
    ]),
  );
}

/** The gaps of all nodes together. */
export function sumOfGaps(byNode: ReadonlyMap<string, GapTotals>): GapTotals {
  return [...byNode.values()].reduce(
    (sum, gaps) => ({
      count: sum.count + gaps.count,
      unknown: sum.unknown + gaps.unknown,
      missed: sum.missed + gaps.missed,
      unseen: sum.unseen + gaps.unseen,
    }),
    NO_GAPS,
  );
}

type Row = { node: string; since_ns: string; until_ns: string | null; missed: string | null; reason: string };

/** Each gap that reaches into the window, the newest first, by node. */
export async function listGaps(
  store: Store,
  window: Seconds,
  node: string | undefined,
): Promise<Map<string, ProbeGap[]>> {
  const rows = await store.query<Row>(
    `SELECT node, toUnixTimestamp64Nano(since) AS since_ns, toUnixTimestamp64Nano(until) AS until_ns, missed, reason
     FROM (SELECT * FROM ${gapsIn(node)}) ORDER BY node, since_ns DESC LIMIT ${MAX_LISTED} BY node`,
    asked(window, node),
  );
  const shown = ({ since_ns, until_ns, missed, reason }: Row): ProbeGap => ({
    since: rfc3339FromNs(BigInt(since_ns)),
    until: until_ns === null ? null : rfc3339FromNs(BigInt(until_ns)),
    missed: missed === null ? null : Number(missed),
    reason: reason === '' ? null : reason,
  });
  return new Map([...Map.groupBy(rows, (row) => row.node)].map(([name, own]) => [name, own.map(shown)]));
}
