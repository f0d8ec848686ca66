/** Bus → findings: a consumer of its own on the events, so that slow alerting never slows storage. */
import type { Bus, Plan } from '@bintrail/runtime/bus.ts';
import { inLots } from '@bintrail/runtime/dead.ts';
import type { Health } from '@bintrail/runtime/health.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import type { Metrics } from '@bintrail/runtime/metrics.ts';
import { pump } from '@bintrail/runtime/pump.ts';
import type { Backoff } from '@bintrail/runtime/retry.ts';
import { type Batch, decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import type { Finding } from '@bintrail/schemas/finding.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { findingMessage } from './finding-record.ts';
import { followPolicy } from './policy.ts';
import { createDetectState, detect, remember } from './stage.ts';

export type DetectOptions = {
  readonly bus: Bus;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly backoff?: Backoff;
};

export type Detect = {
  /** Resolves when closed; rejects with a bug, or when the bus fails. */
  readonly done: Promise<void>;
  health(): Health;
  /** Resolves while it takes part in judging; rejects with why not. */
  ready(): Promise<void>;
  close(): Promise<void>;
};

// Judging is synchronous and shares its process with the api in the embedded set-up: 1 MiB of messages is some 10
// thousand execs, which take less than a tenth of a second (measured). Over Kafka each plan is a commit: one for each
// message would cost more than judging does.
const PLAN = { topic: TOPICS.events, group: 'detect', maxRecords: 256, maxBytes: 1024 * 1024, gatherMs: 20 };

/** Resolves once the policy was read to its end, and events are taken from the bus from then on. */
export async function createDetect({ bus, log, metrics, backoff }: DetectOptions): Promise<Detect> {
  const meter = createMeter(metrics);
  const policy = await followPolicy(bus, {
    invalid({ key, offset }) {
      meter.invalidPolicy.inc();
      log.warn({ topic: TOPICS.policy, key, offset }, 'a policy record could not be read and is left out');
    },
    changed: ({ revision }) => meter.policyRevision.set(revision),
  });
  const state = createDetectState();
  const judgePlan = async (plan: Plan) => {
    const batches = decodePlan(plan);
    meter.undecodable.inc(plan.records.length - batches.length);
    const detected = detect(batches, policy.view(), state);
    const messages = detected.out.map(({ finding }) => findingMessage(finding));
    for (const lot of inLots(messages.filter((message) => message !== undefined)))
      await bus.publish(TOPICS.findings, lot);
    meter.tooLarge.inc(messages.filter((message) => message === undefined).length);
    remember(state, detected);
    meter.processes.set(state.processes.size);
    meter.judged.inc(detected.judged);
    for (const { finding, episode } of detected.out) {
      meter.findings.inc({ rule: finding.rule });
      log.info(lineOf(finding, episode), 'finding');
    }
    return { in: plan.records.length, out: detected.out.length, dead: [] };
  };
  const events = pump({
    ...{ ...PLAN, bus, log, metrics, process: judgePlan, stage: 'detect', deadTopic: TOPICS.dead },
    ...(backoff && { backoff }),
  });
  const close = async (): Promise<void> => {
    await events.close();
    await policy.close();
  };
  const closing = async (error: unknown): Promise<never> => {
    await close();
    throw error;
  };
  const done = Promise.all([events.done.catch(closing), policy.done.catch(closing)]).then(() => undefined);
  return { done, close, health: events.health, ready: events.ready };
}

/** What cannot be decoded is left out: ingest reads the same messages and puts those aside. */
function decodePlan({ records }: Plan): Batch[] {
  return records.flatMap(({ value }) => {
    const decoded = decodeBatch(value);
    return decoded.ok ? [decoded.batch] : [];
  });
}

function lineOf(finding: Finding, episode: number) {
  const { finding_id, rule, severity, workload, path, sha256, node, policy_revision, evidence } = finding;
  const { why } = evidence.verdict;
  return { finding_id, rule, severity, workload, path, sha256, node, policy_revision, episode, why };
}

function createMeter(metrics: Metrics) {
  return {
    undecodable: metrics.counter('detect_undecodable_total', 'Messages that could not be decoded and were left out.'),
    tooLarge: metrics.counter(
      'detect_too_large_total',
      'Findings that no bus takes, as their paths are absurdly long.',
    ),
    invalidPolicy: metrics.counter('detect_invalid_policy_total', 'Policy records that could not be read.'),
    policyRevision: metrics.gauge('detect_policy_revision', 'Highest revision of an approval known to detect.'),
    processes: metrics.gauge('detect_processes', 'Program images remembered for ancestors.'),
    judged: metrics.counter('detect_judged_total', 'Distinct sightings judged.'),
    findings: metrics.counter('detect_findings_total', 'Findings published.', ['rule']),
  };
}
