import type { Plan } from '@bintrail/runtime/bus.ts';
import type { Dead } from '@bintrail/runtime/dead.ts';
import type { Processed } from '@bintrail/runtime/pump.ts';
import { type Finding, findingSchema } from '@bintrail/schemas/finding.ts';
import type { Delivery } from './delivery.ts';
import type { Ledger, Lookup } from './ledger.ts';
import type { PolicyFollower } from './policy.ts';
import { receive } from './transitions.ts';

export const STAGE = 'notify';

export type IntakeDeps = {
  /** Of the plan's partition. */
  readonly ledger: Pick<Ledger, 'get' | 'commit'>;
  readonly policy: Pick<PolicyFollower, 'now' | 'catchUp'>;
  readonly hasWebhook: boolean;
  readonly clock: () => number;
};

/** Records what a plan of findings means for their groups. The same plan again changes nothing. */
export async function takeIn(plan: Plan, { ledger, policy, hasWebhook, clock }: IntakeDeps): Promise<Processed> {
  const { findings, dead } = readPlan(plan);
  const seen = new Set(findings.map(({ group_id: id }) => id));
  // Only a group that is known can be in a new episode, and then all actions that came before must be counted.
  if (seen.size < findings.length || [...seen].some((id) => ledger.get(id) !== undefined)) await policy.catchUp();
  const changed = await ledger.commit((get) => {
    const { episodeOf } = policy.now();
    return receiveAll(findings, get, { episodeOf, hasWebhook, nowMs: clock() });
  });
  return { in: plan.records.length, out: changed.length, dead };
}

function receiveAll(findings: readonly Finding[], get: Lookup, arrival: Parameters<typeof receive>[2]): Delivery[] {
  const changed = new Map<string, Delivery>();
  for (const finding of findings) {
    const id = finding.group_id;
    const next = receive(changed.get(id) ?? get(id), finding, arrival);
    if (next !== undefined) changed.set(id, next);
  }
  return [...changed.values()];
}

function readPlan(plan: Plan): { findings: Finding[]; dead: Dead[] } {
  const findings: Finding[] = [];
  const dead: Dead[] = [];
  const { topic, partition } = plan;
  for (const { offset, key, value } of plan.records) {
    const finding = readFinding(value);
    if (finding !== undefined) findings.push(finding);
    else dead.push({ reason: 'not_a_finding', stage: STAGE, topic, partition, offset, key, bytes: value });
  }
  return { findings, dead };
}

function readFinding(value: Uint8Array): Finding | undefined {
  try {
    return findingSchema.safeParse(JSON.parse(Buffer.from(value).toString('utf8'))).data;
  } catch {
    return undefined;
  }
}
