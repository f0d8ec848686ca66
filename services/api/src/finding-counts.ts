import type { Store } from '@bintrail/runtime/store.ts';
import type { Finding, FindingContainer } from '@bintrail/schemas/finding.ts';
import { isChange, readChanges } from './findings/changes.ts';
import { withContainers } from './findings/containers.ts';
import { readFacts } from './findings/facts.ts';
import { countedFor, subjectKey, subjectOf } from './findings/subject.ts';

type Asked = Pick<Finding, 'rule' | 'workload' | 'subject' | 'node' | 'ts_ns'> & {
  readonly evidence: Pick<Finding['evidence'], 'container'>;
};

export type FindingCounts = {
  readonly count: number;
  readonly nodes: number;
  readonly firstNs: bigint;
  /** Of the first sight, by what is known now; absent outside containers. */
  readonly container?: FindingContainer;
};

/**
 * Sightings and nodes of a finding as the api would show them now, and its oldest sighting, which a deny rule may have
 * come after; 0 before ingest has stored the first. And the container, which may have been told of since.
 */
export function findingCounts(store: Store): (finding: Asked) => Promise<FindingCounts> {
  return async (finding) => {
    const seen = { node: finding.node, tsNs: BigInt(finding.ts_ns), evidence: finding.evidence };
    const [counts, [named]] = await Promise.all([countsOf(store, finding), withContainers(store, [seen])]);
    const { container } = named!.evidence;
    return container === undefined ? counts : { ...counts, container };
  };
}

async function countsOf(store: Store, { rule, workload, subject }: Asked): Promise<FindingCounts> {
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
}
