/** What is worth a finding when a probe is not heard any more. Pure: who was heard when is handed in. */
import type { Finding } from '@bintrail/schemas/finding.ts';
import { printable } from '@bintrail/schemas/printable.ts';
import { findingId, groupId } from './rules.ts';

/** The newest heartbeat of a node, and when the store got it: a node's own clock may be wrong. */
export type LastWord = {
  readonly node: string;
  readonly boot: string;
  readonly probeEpoch: bigint;
  readonly seq: bigint;
  readonly mode: string;
  readonly heardAtMs: number;
};

/** Probes report every 5 s: sixty reports in a row that never came. */
export const SILENT_AFTER_MS = 300_000;
/** So long after its last word a node counts as one that is falling silent too. */
const SUSPECT_AFTER_MS = 60_000;
/** Nodes whose last words came within this time fell silent together. */
const TOGETHER_MS = 60_000;
/** From so many on they are one alert: whatever lies between these nodes and the bus is the likelier cause. */
const TOGETHER_NODES = 10;
const HOUR_MS = 3_600_000;

const RULE = 'probe-silent';
const VERSION = 1;
const CAUSES = 'it was killed, hangs, or is cut off from the bus';

/** `mode` of the heartbeat with which a probe that was asked to end takes its leave. */
export const STOPPING = 'stopping';

/**
 * A finding of each node that was not heard for {@link SILENT_AFTER_MS}. Its subject is the last word, so that each
 * silence is one finding, whoever computes it and how often. One node is one alert a day, a probe that comes and goes
 * included; nodes that fell silent together are one alert. A replay is no node.
 */
export function silences(lastWords: readonly LastWord[], nowMs: number): Finding[] {
  const live = lastWords.filter(({ mode }) => mode !== 'replay');
  const suspects = live
    .map(({ heardAtMs }) => heardAtMs)
    .filter((heardAtMs) => nowMs - heardAtMs > SUSPECT_AFTER_MS)
    .sort((a, b) => a - b);
  return live
    .filter(({ heardAtMs }) => nowMs - heardAtMs > SILENT_AFTER_MS)
    .map((word) => findingOf(word, countWithin(suspects, word.heardAtMs - TOGETHER_MS, word.heardAtMs + TOGETHER_MS)));
}

/** How many of these ascending times lie in [from, to]. */
function countWithin(times: readonly number[], from: number, to: number): number {
  return lowerBound(times, to + 1) - lowerBound(times, from);
}

function lowerBound(times: readonly number[], limit: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

function findingOf(word: LastWord, togetherNodes: number): Finding {
  const { node, boot, probeEpoch, seq, heardAtMs, mode } = word;
  // The api tells by the end of it whether another heartbeat came.
  const subject = `probe:${printable(Buffer.from(node))}:${boot}:${probeEpoch}:${seq}`;
  const hour = Math.floor(heardAtMs / HOUR_MS);
  const together = togetherNodes >= TOGETHER_NODES;
  const group = together ? `together:${hour}` : `node:${node}:${Math.floor(hour / 24)}`;
  const isStopped = mode === STOPPING;
  return {
    finding_id: findingId(RULE, VERSION, WORKLOAD, subject),
    group_id: groupId(RULE, VERSION, group),
    rule: RULE,
    rule_version: VERSION,
    severity: isStopped ? 'low' : 'high',
    workload: WORKLOAD,
    subject,
    sha256: '',
    path: '',
    role: '',
    node,
    ts_ns: String(BigInt(heardAtMs + SILENT_AFTER_MS) * 1_000_000n),
    policy_revision: 0,
    evidence: evidenceOf(textOf(word, isStopped, together ? togetherNodes : 1)),
  };
}

const WORKLOAD = 'host';

function textOf({ heardAtMs }: LastWord, isStopped: boolean, nodes: number): string {
  const since = new Date(heardAtMs).toISOString();
  const others =
    nodes === 1 ? '' : ` So did ${nodes - 1} other nodes within a minute: look at the network and the bus first.`;
  if (isStopped) return `The probe was stopped in good order at ${since} and was not started again.${others}`;
  return `Nothing was heard of the probe since ${since}, and it took no leave: ${CAUSES}.${others}`;
}

function evidenceOf(why: string): Finding['evidence'] {
  const exec = { exec_id: '', parent_exec_id: '', pid: 0, ppid: 0, uid: 0, argv: [], cwd: '', parent_path: '' };
  return {
    verdict: { value: 'unknown', why },
    digest: { source: '', strength: '', reason: '' },
    ...{ package: '', package_version: '', package_match: '', image: '', flags: [] },
    exec: { ...exec, ancestors: [] },
  };
}
