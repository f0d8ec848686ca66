/** Findings as the api shows them. */

import { type Evidence, evidenceSchema, type FindingContainer, RULES, SEVERITIES } from '@bintrail/schemas/finding.ts';
import { z } from '@hono/zod-openapi';
import { verdictAnswer } from '../executable-answer.ts';
import { rfc3339FromMs, rfc3339FromNs, timeText } from '../time.ts';
import { ACTIONS } from './action-rows.ts';
import { MAX_NODES } from './facts.ts';
import type { StandingFinding } from './read.ts';
import { STATES } from './state.ts';

const actionSchema = z.object({
  action: z.enum(ACTIONS),
  actor: z.string(),
  reason: z.string(),
  at: timeText,
});

const orNull = z.string().min(1).nullable();

export const findingAnswer = z
  .object({
    id: z.string(),
    rule: z.enum(RULES),
    severity: z.enum(SEVERITIES),
    state: z.enum(STATES),
    episode: z.int().describe('How often it was resolved before: a sighting after that opens it again.'),
    resolved_by: z
      .enum(['action', 'approval', 'heard'])
      .nullable()
      .describe('heard: of a probe that was silent, and is heard again.'),
    last_action: actionSchema.nullable(),
    group_id: z.string().describe('The same fact in any workload: one alert.'),
    workload: z.string(),
    sha256: orNull.describe('Null without a digest.'),
    path: orNull.describe('This and the role are null where no program is meant: a probe that is silent.'),
    role: orNull,
    count: z.int().describe('Sightings, from the roll-ups.'),
    nodes: z.array(z.string()).describe(`Where it was seen, at most ${MAX_NODES} by name.`),
    node_count: z.int(),
    first_seen: timeText,
    last_seen: timeText,
    verdict: verdictAnswer,
    evidence: evidenceSchema
      .omit({ exec: true })
      .extend({
        digest: z.object({ source: orNull, strength: orNull, reason: orNull }),
        package: orNull,
        package_version: orNull,
        package_match: orNull,
        image: orNull.describe('Digest.'),
        container: z
          .object({ id: z.string(), name: orNull, image_ref: orNull, namespace: orNull, pod: orNull })
          .nullable()
          .describe('Where it was seen first, by what is known of that container now; null outside containers.'),
        written_by: z
          .object({
            exec_id: z.string(),
            path: orNull.describe('Null for a program from before the probe.'),
            argv: z.array(z.string()),
            uid: z.int().nullable(),
            at: timeText,
          })
          .nullable()
          .describe('The program that last wrote the file on that node; null where it is not known.'),
        node: z.string(),
        ts: timeText,
      })
      .describe('The first sight, as it was then; null for what there was not.'),
    exec: evidenceSchema.shape.exec
      .extend({ parent_exec_id: orNull, cwd: orNull, parent_path: orNull })
      .nullable()
      .describe('Null where no process is meant.'),
  })
  .openapi('Finding');

export type FindingAnswer = z.infer<typeof findingAnswer>;

export function answerOf(finding: StandingFinding): FindingAnswer {
  const { first, last_action, nodes, verdict } = finding;
  const { exec, ...evidence } = first.evidence;
  return {
    id: first.id,
    rule: first.rule,
    severity: first.severity,
    state: finding.state,
    episode: finding.episode,
    resolved_by: finding.resolved_by,
    last_action: last_action === undefined ? null : { ...shownAction(last_action) },
    group_id: first.group_id,
    workload: first.workload,
    sha256: first.sha256 || null,
    path: first.path || null,
    role: first.role || null,
    count: finding.count,
    nodes: [...nodes.names],
    node_count: nodes.count,
    first_seen: rfc3339FromNs(finding.firstNs),
    last_seen: rfc3339FromNs(finding.lastNs),
    verdict: { ...verdict, verdicts: { ...verdict.verdicts } },
    evidence: { ...shownEvidence(evidence), node: first.node, ts: rfc3339FromNs(first.tsNs) },
    exec: shownExec(exec),
  };
}

function shownExec(exec: Evidence['exec']) {
  if (exec.exec_id === '') return null;
  const { parent_exec_id, cwd, parent_path } = exec;
  return {
    ...exec,
    parent_exec_id: parent_exec_id || null,
    cwd: cwd || null,
    parent_path: parent_path || null,
  };
}

// On the bus what there is not is the empty text; here it is null, as in events.
function shownEvidence({ digest, written_by: writer, container, ...evidence }: Omit<Evidence, 'exec'>) {
  const { source, strength, reason } = digest;
  return {
    ...evidence,
    digest: { source: source || null, strength: strength || null, reason: reason || null },
    package: evidence.package || null,
    package_version: evidence.package_version || null,
    package_match: evidence.package_match || null,
    image: evidence.image || null,
    container: container === undefined ? null : shownContainer(container),
    written_by: writer === undefined ? null : shownWriter(writer),
  };
}

function shownContainer({ id, name, image_ref, namespace, pod }: FindingContainer) {
  return { id, name: name || null, image_ref: image_ref || null, namespace: namespace || null, pod: pod || null };
}

function shownWriter({ ts_ns, path, ...writer }: NonNullable<Evidence['written_by']>) {
  return { ...writer, path: path || null, at: rfc3339FromNs(BigInt(ts_ns)) };
}

function shownAction({ action, actor, reason, atMs }: NonNullable<StandingFinding['last_action']>) {
  return { action, actor, reason, at: rfc3339FromMs(atMs) };
}
