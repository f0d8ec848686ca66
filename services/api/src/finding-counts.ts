import type { Store } from '@bintrail/runtime/store.ts';
import type { Finding } from '@bintrail/schemas/finding.ts';
import { isChange, readChanges } from './findings/changes.ts';
import { readFacts } from './findings/facts.ts';
import { countedFor, subjectKey, subjectOf } from './findings/subject.ts';

type Asked = Pick<Finding, 'rule' | 'workload' | 'subject'>;

export type FindingCounts = { readonly count: number; readonly nodes: number; readonly firstNs: bigint };

/**
 * Sightings and nodes of a finding as the api would show them now, and its oldest sighting, which a deny rule may have
 * come after; 0 before ingest has stored the first.
 */
export function findingCounts(store: Store): (finding: Asked) => Promise<FindingCounts> {
  return async ({ rule, workload, subject }) => {
    if (isChange({ rule })) {
      const changes = (await readChanges(store, [{ rule, workload, subject }])).values().next().value;
      return { count: changes?.count ?? 0, nodes: changes?.nodes.count ?? 0, firstNs: changes?.firstNs ?? 0n };
    }
    const asked = subjectOf(rule, workload, subject);
    const facts = await readFacts(store, [asked], undefined);
    const key = subjectKey(asked);
    const seen = countedFor(rule, facts.sightings.get(key) ?? []);
    const count = seen.reduce((sum, { n }) => sum + n, 0);
    const firstNs = seen.reduce(
      (oldest, each) => (each.firstNs < oldest ? each.firstNs : oldest),
      seen[0]?.firstNs ?? 0n,
    );
    return { count, nodes: facts.nodes.get(key)?.count ?? 0, firstNs };
  };
}
