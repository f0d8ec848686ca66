import type { Store } from '@bintrail/runtime/store.ts';
import type { Finding } from '@bintrail/schemas/finding.ts';
import { readFacts } from './findings/facts.ts';
import { countedFor, subjectKey, subjectOf } from './findings/subject.ts';

/** Sightings and nodes of a finding as the api would show them now; 0 before ingest has stored the first. */
export function findingCounts(store: Store): (finding: Finding) => Promise<{ count: number; nodes: number }> {
  return async ({ rule, workload, subject }) => {
    const asked = subjectOf(rule, workload, subject);
    const facts = await readFacts(store, [asked], undefined);
    const key = subjectKey(asked);
    const count = countedFor(rule, facts.sightings.get(key) ?? []).reduce((sum, { n }) => sum + n, 0);
    return { count, nodes: facts.nodes.get(key)?.count ?? 0 };
  };
}
