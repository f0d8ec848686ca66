import type { FindingCore } from '@bintrail/analysis/rules.ts';
import { type Evidence, type Finding, type FindingContainer, MAX_TIME_NS } from '@bintrail/schemas/finding.ts';
import { flagNames } from '@bintrail/schemas/flags.ts';
import { bigAt, numberAt, textAt } from '@bintrail/schemas/row.ts';
import type { Sighting, Verdict } from '@bintrail/schemas/sighting.ts';
import { argumentList, readTexts } from './column-reader.ts';
import { containerAt } from './containers.ts';
import type { Seen } from './judged-rows.ts';
import { ancestorsOf, execIdAt, type Process, relatedExecId } from './processes.ts';

/** What a finding is made of, beside its core. */
export type Facts = {
  readonly sighting: Sighting;
  readonly verdict: Verdict;
  readonly seen: Seen;
  readonly policyRevision: number;
  readonly known: Known;
};

/** What detect remembers of processes and containers. */
export type Known = {
  readonly findProcess: (execId: string) => Process | undefined;
  readonly findContainer: (id: string) => FindingContainer | undefined;
};

/** The record that is published: the core, and what is known of the event it was seen in. */
export function findingOf(core: FindingCore, facts: Facts): Finding {
  const { batch, timeNs } = facts.seen;
  return {
    ...core,
    node: batch.node,
    ts_ns: timeNs.toString(),
    policy_revision: facts.policyRevision,
    evidence: evidenceOf(facts),
  };
}

function evidenceOf({ sighting, verdict, seen: { batch, row }, known }: Facts): Evidence {
  const text = (name: string) => readTexts(batch, name).at(row);
  return {
    verdict: { value: verdict.value, why: verdict.why },
    digest: { source: text('digest_source'), strength: sighting.digest_strength, reason: sighting.digest_reason },
    package: sighting.package,
    package_version: sighting.package_version,
    package_match: sighting.package_match,
    image: sighting.image,
    ...inContainer({ batch, row }, known),
    flags: flagNames(numberAt(batch, 'flags', row)),
    ...writtenBy({ batch, row }, known.findProcess),
    exec: execOf({ batch, row }, text('parent_path'), known.findProcess),
  };
}

/** Nothing outside containers. */
export function inContainer(
  { batch, row }: Pick<Seen, 'batch' | 'row'>,
  { findContainer }: Pick<Known, 'findContainer'>,
): Pick<Evidence, 'container'> {
  const container = containerAt(batch, row, findContainer);
  return container === undefined ? {} : { container };
}

/** Nothing where the kernel side has not seen the file written. */
function writtenBy(
  { batch, row }: Pick<Seen, 'batch' | 'row'>,
  findProcess: Known['findProcess'],
): Pick<Evidence, 'written_by'> {
  const execId = relatedExecId(batch, 'writer', row);
  const writtenNs = bigAt(batch, 'written_ns', row);
  if (execId === '' || writtenNs > MAX_TIME_NS) return {};
  const process = findProcess(execId);
  return {
    written_by: {
      exec_id: execId,
      path: readTexts(batch, 'writer_path').at(row),
      argv: argumentList(process?.argv ?? ''),
      uid: process?.uid ?? null,
      ts_ns: writtenNs.toString(),
    },
  };
}

// Loads and late digests name the exec they belong to; what they do not carry is found where that exec has passed.
export function execOf(
  { batch, row }: Pick<Seen, 'batch' | 'row'>,
  parentPath: string,
  findProcess: Known['findProcess'],
): Evidence['exec'] {
  const execId = execIdAt(batch, row);
  const process = findProcess(execId);
  const argv = batch.type === 'exec' ? textAt(batch, 'argv', row) : (process?.argv ?? '');
  const ancestors = process === undefined ? [] : ancestorsOf(process, findProcess);
  return {
    // A load that stands for those of several processes is of none.
    exec_id: numberAt(batch, 'pid', row) === 0 ? '' : execId,
    parent_exec_id: process?.parent_exec_id ?? '',
    pid: numberAt(batch, 'pid', row),
    ppid: process?.ppid ?? 0,
    uid: numberAt(batch, 'uid', row),
    argv: argumentList(argv),
    cwd: process?.cwd ?? '',
    parent_path: parentPath,
    ancestors: ancestors.map(({ exec_id, pid, path, argv: own }) => ({ exec_id, pid, path, argv: argumentList(own) })),
  };
}
