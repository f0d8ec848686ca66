/** Findings of code that changed while it was in use: counted in the changes themselves, as nothing of it was sighted. */
import { MODIFIED } from '@bintrail/analysis/change-rules.ts';
import { worst } from '@bintrail/analysis/worst.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import type { ActionRow } from './action-rows.ts';
import type { EvidenceRow } from './evidence-rows.ts';
import { cutPairs, MAX_NODES, pairParams } from './facts.ts';
import type { StandingFinding } from './read.ts';
import { standingOf } from './state.ts';
import { shown, storedPairs, subjectKey } from './subject.ts';

type Named = Pick<EvidenceRow, 'rule' | 'workload' | 'subject'>;

export function isChange({ rule }: Pick<EvidenceRow, 'rule'>): boolean {
  return rule === 'modified-after-start';
}

export type Changes = {
  readonly count: number;
  readonly nodes: StandingFinding['nodes'];
  readonly firstNs: bigint;
  readonly lastNs: bigint;
};

/** The key a finding's changes are found by in what {@link readChanges} returns. */
export function changesKey({ workload, subject }: Named): string {
  return subjectKey(subjectOfChange({ workload, subject }));
}

function subjectOfChange({ workload, subject }: Pick<Named, 'workload' | 'subject'>) {
  return { kind: 'absent' as const, workload, value: subject.slice(subject.indexOf(':') + 1) };
}

/** Changes in use by workload and path, repeats included, whoever made them but package managers. */
export async function readChanges(
  store: Store,
  findings: readonly Named[],
  node = '',
): Promise<ReadonlyMap<string, Changes>> {
  const found = new Map<string, Changes>();
  for (const pairs of cutPairs(findings.map(subjectOfChange).flatMap(storedPairs))) {
    const rows = await store.query<Record<string, string> & { names: string[] }>(
      `SELECT hex(workload) AS workload_hex, hex(path) AS path_hex, sum(1 + repeats) AS times,
         groupUniqArray(${MAX_NODES})(node) AS names, uniqExact(node) AS nodes, countIf(node = {node:String}) AS has_asked,
         toUnixTimestamp64Nano(min(ts)) AS first_ns, toUnixTimestamp64Nano(max(ts)) AS last_ns
       FROM file_events
       WHERE (workload, path) IN (
         SELECT unhex(pair.1), unhex(pair.2)
         FROM (SELECT arrayJoin(arrayZip({workloads:Array(String)}, {values:Array(String)})) AS pair))
         AND bitAnd(flags, {bits:UInt32}) = {in_use:UInt32} AND action IN {actions:Array(UInt32)}
       GROUP BY workload, path`,
      {
        ...{ ...pairParams(pairs), node, in_use: MODIFIED.inUse, bits: MODIFIED.inUse | MODIFIED.byInstaller },
        actions: MODIFIED.actions,
      },
    );
    for (const row of rows) {
      const key = subjectKey({ kind: 'absent', workload: shown(row.workload_hex!), value: shown(row.path_hex!) });
      found.set(key, {
        count: Number(row.times),
        nodes: { names: row.names.toSorted(), count: Number(row.nodes), hasAsked: row.has_asked !== '0' },
        firstNs: BigInt(row.first_ns!),
        lastNs: BigInt(row.last_ns!),
      });
    }
  }
  return found;
}

/** A finding may be stored before the change it came from. */
export function changeStanding(
  first: EvidenceRow,
  actions: readonly ActionRow[],
  changes: Changes | undefined,
  node: string | undefined,
): StandingFinding {
  const nodes = { names: [first.node], count: 1, hasAsked: first.node === node };
  const seen = changes ?? { count: 1, nodes, firstNs: first.tsNs, lastNs: first.tsNs };
  return {
    ...standingOf(actions, seen.lastNs, false),
    ...seen,
    first,
    verdict: worst([
      { verdict: { value: 'unknown', why: first.evidence.verdict.why, approval_id: null }, n: seen.count },
    ]),
  };
}
