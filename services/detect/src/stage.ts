/** Events → findings, as a pure function over the messages of a plan. */
import { corroborationKey } from '@bintrail/analysis/corroboration.ts';
import { isStrong, judge } from '@bintrail/analysis/judge.ts';
import type { PolicyView } from '@bintrail/analysis/policy-view.ts';
import { findings } from '@bintrail/analysis/rules.ts';
import { createLru, type Lru } from '@bintrail/runtime/lru.ts';
import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import { type Finding, type FindingContainer, SEVERITIES } from '@bintrail/schemas/finding.ts';
import { numberAt } from '@bintrail/schemas/row.ts';
import { changedFiles, changedFinding } from './changed-files.ts';
import { type ContainerIndex, containersOf, createContainerIndex } from './containers.ts';
import { findingOf } from './evidence.ts';
import { distinctSightings } from './judged-rows.ts';
import { createProcessIndex, learn, type Process, type ProcessIndex, processesOf } from './processes.ts';

/**
 * What detect remembers between plans. All of it may be lost: without processes a finding has fewer ancestors, without
 * containers it names theirs by id, without
 * `published` it is published once more, which its readers know by its id, and without `strong` a program that is run
 * within a clock tick of being written is found although its content is approved.
 */
export type DetectState = {
  readonly processes: ProcessIndex;
  readonly containers: ContainerIndex;
  /** The episode in which a finding was last published, by finding id. */
  readonly published: Lru<string, number>;
  /** Content seen with strong evidence, by workload. */
  readonly strong: Lru<string, true>;
};

/** About 150 bytes each: 15 MB when full. */
const MAX_PUBLISHED = 100_000;
const MAX_STRONG = 100_000;

export function createDetectState(): DetectState {
  return {
    ...{ processes: createProcessIndex(), containers: createContainerIndex() },
    ...{ published: createLru(MAX_PUBLISHED), strong: createLru(MAX_STRONG) },
  };
}

/** A finding, and the episode it opens: how often it was resolved before. */
export type Due = { readonly finding: Finding; readonly episode: number };

export type Detected = {
  readonly out: readonly Due[];
  /** What {@link remember} adds to the state. */
  readonly learnt: readonly Process[];
  readonly containers: ReadonlyMap<string, FindingContainer>;
  readonly strong: readonly string[];
  /** How many distinct sightings were judged. */
  readonly judged: number;
};

/**
 * Judges each distinct sighting of a plan and returns the findings to publish: those not published in their current
 * episode. Reads the state and leaves it as it is, so that a plan can be tried again.
 */
export function detect(batches: readonly Batch[], policy: PolicyView, state: DetectState): Detected {
  const learnt = new Map<string, Process>();
  for (const batch of batches) {
    if (batch.type !== 'exec') continue;
    for (const process of processesOf(batch)) learnt.set(process.exec_id, process);
  }
  const containers = containersOf(batches);
  const known = {
    findProcess: (execId: string) => learnt.get(execId) ?? state.processes.get(execId),
    findContainer: (id: string) => containers.get(id) ?? state.containers.get(id),
  };
  const out = new Map<string, Due>();
  const sightings = distinctSightings(batches);
  const strong = new Set(
    sightings.filter(({ sighting }) => isStrong(sighting)).map(({ sighting }) => corroborationKey(sighting)),
  );
  for (const { sighting, writerPath, first, last } of sightings) {
    const key = corroborationKey(sighting);
    const corroborated = strong.has(key) || state.strong.get(key) !== undefined;
    // Approvals may expire between the rows. They only ever leave with time, so what is denied at all is denied at the
    // first row, and what nothing allows is allowed least at the last; after a resolution the last row counts as well.
    for (const seen of first === last ? [first] : [first, last]) {
      const verdict = judge(sighting, policy.approvals, Number(seen.timeNs / 1_000_000n), corroborated);
      for (const core of findings(sighting, verdict, numberAt(seen.batch, 'flags', seen.row), writerPath)) {
        const episode = episodeDue(core.finding_id, seen.timeNs, policy, state);
        const already = out.get(core.finding_id)?.finding;
        if (episode === undefined || (already !== undefined && !isWorse(core, already))) continue;
        const facts = { sighting, verdict, seen, policyRevision: policy.revision, known };
        out.set(core.finding_id, { finding: findingOf(core, facts), episode });
      }
    }
  }
  for (const changed of changedFiles(batches)) {
    const { core } = changed;
    const episode = episodeDue(core.finding_id, changed.timeNs, policy, state);
    const already = out.get(core.finding_id)?.finding;
    if (episode === undefined || (already !== undefined && !isWorse(core, already))) continue;
    const finding = changedFinding(core, changed, policy.revision, known);
    out.set(core.finding_id, { finding, episode });
  }
  const judged = sightings.length;
  return { out: [...out.values()], learnt: [...learnt.values()], containers, strong: [...strong], judged };
}

/** The same file may run with and without its setuid bit. */
function isWorse(a: Pick<Finding, 'severity'>, b: Pick<Finding, 'severity'>): boolean {
  return SEVERITIES.indexOf(a.severity) < SEVERITIES.indexOf(b.severity);
}

/** The episode that an event opens, or undefined when nobody needs to hear of it again. */
function episodeDue(findingId: string, timeNs: bigint, policy: PolicyView, state: DetectState): number | undefined {
  const action = policy.actions.get(findingId);
  const episode = action?.episode ?? 0;
  if (action?.action === 'resolve' && timeNs <= BigInt(Date.parse(action.at)) * 1_000_000n) return undefined;
  const published = state.published.get(findingId);
  return published === undefined || published < episode ? episode : undefined;
}

/** Takes over what a plan taught, once its findings are published. */
export function remember(state: DetectState, { out, learnt, containers, strong }: Detected): void {
  learn(state.processes, learnt);
  for (const [id, container] of containers) state.containers.set(id, container);
  for (const key of strong) state.strong.set(key, true);
  for (const { finding, episode } of out) state.published.set(finding.finding_id, episode);
}
