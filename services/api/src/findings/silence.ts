/** Findings of silent probes as they stand: nothing was sighted, and being heard again is what resolves them. */
import { worst } from '@bintrail/analysis/worst.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import type { ActionRow } from './action-rows.ts';
import type { EvidenceRow } from './evidence-rows.ts';
import type { StandingFinding } from './read.ts';
import { standingOf } from './state.ts';

export function isSilence({ rule }: Pick<EvidenceRow, 'rule'>): boolean {
  return rule === 'probe-silent';
}

/** Ids of those whose node sent another heartbeat after the one that the finding calls its last. */
export async function readHeardAgain(store: Store, silent: readonly EvidenceRow[]): Promise<ReadonlySet<string>> {
  if (silent.length === 0) return new Set();
  const rows = await store.query<{ node: string; epoch: string; seq: string }>(
    `SELECT node, last.2 AS epoch, last.3 AS seq FROM (
       SELECT node, max((ingested_at, probe_epoch, seq)) AS last FROM heartbeat_events
       WHERE node IN (SELECT arrayJoin({nodes:Array(String)})) GROUP BY node)`,
    { nodes: [...new Set(silent.map(({ node }) => node))] },
  );
  const newest = new Map(rows.map(({ node, epoch, seq }) => [node, `${epoch}:${seq}`]));
  return new Set(
    silent
      .filter(({ node, subject }) => newest.has(node) && !subject.endsWith(`:${newest.get(node)}`))
      .map(({ id }) => id),
  );
}

export function silenceStanding(
  first: EvidenceRow,
  actions: readonly ActionRow[],
  isHeardAgain: boolean,
  node: string | undefined,
): StandingFinding {
  const standing = standingOf(actions, first.tsNs, false);
  const heard = { ...standing, state: 'resolved', resolved_by: 'heard' } as const;
  return {
    ...(isHeardAgain && standing.state !== 'resolved' ? heard : standing),
    first,
    count: 1,
    nodes: { names: [first.node], count: 1, hasAsked: first.node === node },
    firstNs: first.tsNs,
    lastNs: first.tsNs,
    verdict: worst([{ verdict: { value: 'unknown', why: first.evidence.verdict.why, approval_id: null }, n: 1 }]),
  };
}
