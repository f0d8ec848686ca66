/** Findings as they stand now: evidence, counts, verdict and state put together. */
import type { CompiledApprovals } from '@bintrail/analysis/approvals.ts';
import { corroborationOf } from '@bintrail/analysis/corroboration.ts';
import { judge } from '@bintrail/analysis/judge.ts';
import { type CombinedVerdict, worst } from '@bintrail/analysis/worst.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import type { Sighting } from '@bintrail/schemas/sighting.ts';
import type { Window } from '../time.ts';
import { type ActionRow, readActions } from './action-rows.ts';
import { changeStanding, changesKey, isChange, readChanges } from './changes.ts';
import { withContainers } from './containers.ts';
import { type EvidenceRow, type FindingFilters, type FindingKey, readEvidence, readKeys } from './evidence-rows.ts';
import { type Facts, readFacts, type SeenNodes, type SeenSighting } from './facts.ts';
import { isSilence, readHeardAgain, silenceStanding } from './silence.ts';
import { type FindingState, type Standing, standingOf } from './state.ts';
import { countedFor, subjectKey, subjectOf } from './subject.ts';

export type StandingFinding = Standing & {
  readonly first: EvidenceRow;
  readonly count: number;
  readonly nodes: SeenNodes;
  readonly firstNs: bigint;
  readonly lastNs: bigint;
  readonly verdict: CombinedVerdict;
};

export type Judging = { readonly approvals: CompiledApprovals; readonly nowMs: number };

/** These findings in the order of `ids`; unknown ids are left out. */
export async function readFindings(
  store: Store,
  ids: readonly string[],
  judging: Judging,
  node?: string,
): Promise<StandingFinding[]> {
  if (ids.length === 0) return [];
  const [evidence, actions] = await Promise.all([readEvidence(store, ids), readActions(store, ids)]);
  const known = await withContainers(
    store,
    ids.flatMap((id) => evidence.get(id) ?? []),
  );
  const [silent, changed] = [known.filter(isSilence), known.filter(isChange)];
  const sighted = known.filter((first) => !isSilence(first) && !isChange(first));
  const [facts, heard, changes] = await Promise.all([
    readFacts(store, sighted.map(subjectOfRow), node),
    readHeardAgain(store, silent),
    readChanges(store, changed, node),
  ]);
  return known.map((first) => {
    if (isSilence(first)) return silenceStanding(first, actions.get(first.id) ?? [], heard.has(first.id), node);
    if (isChange(first)) {
      return changeStanding(first, actions.get(first.id) ?? [], changes.get(changesKey(first)), node);
    }
    const unseen = { names: [first.node], count: 1, hasAsked: first.node === node };
    const nodes = facts.nodes.get(subjectKey(subjectOfRow(first))) ?? unseen;
    return standing(first, actions.get(first.id) ?? [], facts, nodes, judging);
  });
}

function subjectOfRow({ rule, workload, subject }: EvidenceRow) {
  return subjectOf(rule, workload, subject);
}

function standing(
  first: EvidenceRow,
  actions: readonly ActionRow[],
  { sightings }: Facts,
  nodes: SeenNodes,
  { approvals, nowMs }: Judging,
): StandingFinding {
  // Findings may be stored before the events they came from.
  const seen = countedFor(first.rule, sightings.get(subjectKey(subjectOfRow(first))) ?? [firstSight(first)]);
  const covers = corroborationOf(seen.map(({ sighting }) => sighting));
  const verdict = worst(
    seen.map(({ sighting, n }) => ({ verdict: judge(sighting, approvals, nowMs, covers(sighting)), n })),
  );
  const lastNs = inOrder(seen.map((row) => row.lastNs)).at(-1)!;
  return {
    ...standingOf(actions, lastNs, verdict.value === 'approved'),
    first,
    count: seen.reduce((sum, { n }) => sum + n, 0),
    nodes,
    firstNs: inOrder([first.tsNs, ...seen.map((row) => row.firstNs)])[0]!,
    lastNs,
    verdict,
  };
}

function inOrder(times: readonly bigint[]): bigint[] {
  return times.toSorted((a, b) => (a < b ? -1 : 1));
}

function firstSight({ evidence, tsNs, ...first }: EvidenceRow): SeenSighting {
  const sighting = {
    workload: first.workload,
    image: evidence.image,
    role: first.role,
    sha256: first.sha256,
    path: first.path,
    package: evidence.package,
    package_version: evidence.package_version,
    package_match: evidence.package_match,
    upper_layer: evidence.flags.includes('upper_layer'),
    digest_strength: evidence.digest.strength,
    digest_reason: evidence.digest.reason,
  } as Sighting;
  return { sighting, n: 1, firstNs: tsNs, lastNs: tsNs };
}

export type FindingQuestion = FindingFilters & {
  readonly state?: FindingState | undefined;
  /** Findings seen in it: the last time not before `since`, the first time before `until`. */
  readonly window: Window;
  readonly after: FindingKey | undefined;
  readonly limit: number;
};

// State and times are no columns: after this many findings that do not pass, a page ends short.
const MAX_EXAMINED = 5_000;
// Of digests and ids in a parameter: 1,000 × 70 bytes stay below ClickHouse's 128 KiB.
const CHUNK = 500;

/** A page, newest first sight first. `next` is the last key examined; undefined at the end. */
export async function listFindings(
  store: Store,
  { window, state, after, limit, ...filters }: FindingQuestion,
  judging: Judging,
): Promise<{ readonly findings: StandingFinding[]; readonly next: FindingKey | undefined }> {
  const findings: StandingFinding[] = [];
  let [last, examined, size] = [after, 0, Math.min(CHUNK, limit + 1)];
  while (examined < MAX_EXAMINED) {
    const keys = await readKeys(store, filters, window.sinceNs, last, size);
    const ids = keys.map(([, id]) => id);
    const rows = new Map((await readFindings(store, ids, judging, filters.node)).map((row) => [row.first.id, row]));
    for (const key of keys) {
      const finding = rows.get(key[1]);
      const passes = finding !== undefined && isAsked(finding, window, state, filters.node);
      if (passes && findings.length === limit) return { findings, next: last };
      if (passes) findings.push(finding);
      last = key;
    }
    if (keys.length < size) return { findings, next: undefined };
    examined += keys.length;
    size = CHUNK;
  }
  return { findings, next: last };
}

function isAsked(
  finding: StandingFinding,
  { sinceNs, untilNs }: Window,
  state: FindingState | undefined,
  node: string | undefined,
): boolean {
  if (finding.lastNs < sinceNs || finding.firstNs >= untilNs) return false;
  if (node !== undefined && !finding.nodes.hasAsked) return false;
  return state === undefined || finding.state === state;
}
