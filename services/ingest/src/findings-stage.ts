/** Stores a plan of findings, one row each; the same finding may come again from another run of detect. */
import type { BusRecord, Plan } from '@bintrail/runtime/bus.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { type Finding, findingSchema } from '@bintrail/schemas/finding.ts';
import type { DeadRecord } from './messages.ts';
import { blockToken } from './plan-blocks.ts';
import { type RecordColumn, recordBlock } from './record-block.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The columns of `finding_evidence`, in the table's order. */
export function findingColumns(plan: Plan): readonly RecordColumn<Finding>[] {
  return [
    { name: 'finding_id', type: 'FixedString(32)', of: (finding) => Buffer.from(finding.finding_id, 'hex') },
    { name: 'group_id', type: 'FixedString(32)', of: (finding) => Buffer.from(finding.group_id, 'hex') },
    { name: 'rule', type: 'LowCardinality(String)', of: (finding) => Buffer.from(finding.rule) },
    { name: 'rule_version', type: 'UInt32', of: (finding) => finding.rule_version },
    { name: 'severity', type: 'LowCardinality(String)', of: (finding) => Buffer.from(finding.severity) },
    { name: 'workload', type: 'LowCardinality(String)', of: (finding) => Buffer.from(finding.workload) },
    { name: 'subject', type: 'String', of: (finding) => Buffer.from(finding.subject) },
    { name: 'sha256', type: 'FixedString(32)', of: (finding) => digestBytes(finding.sha256) },
    { name: 'path', type: 'String', of: (finding) => Buffer.from(finding.path) },
    { name: 'role', type: 'LowCardinality(String)', of: (finding) => Buffer.from(finding.role) },
    { name: 'node', type: 'LowCardinality(String)', of: (finding) => Buffer.from(finding.node) },
    { name: 'ts', type: "DateTime64(9, 'UTC')", of: (finding) => BigInt(finding.ts_ns) },
    { name: 'policy_revision', type: 'UInt64', of: (finding) => BigInt(finding.policy_revision) },
    { name: 'evidence', type: 'String', of: (finding) => Buffer.from(JSON.stringify(finding.evidence)) },
    { name: 'ingested_at', type: "DateTime64(3, 'UTC')", of: () => BigInt(plan.atMs) },
  ];
}

/** @throws Transient when the store is away; the call is to be repeated with the same plan */
export async function storeFindings(store: Store, plan: Plan): Promise<{ rows: number; dead: readonly DeadRecord[] }> {
  const dead: DeadRecord[] = [];
  const findings: Finding[] = [];
  for (const record of plan.records) {
    const finding = readFinding(record);
    if ('reason' in finding) dead.push(finding);
    else findings.push(finding);
  }
  if (findings.length > 0) {
    const body = recordBlock(findingColumns(plan), findings);
    await store.insertNative('finding_evidence', body, blockToken(plan, 'finding_evidence', 0));
  }
  return { rows: findings.length, dead };
}

function readFinding(record: BusRecord): Finding | DeadRecord {
  let json: unknown;
  try {
    json = JSON.parse(utf8.decode(record.value));
  } catch {
    return { record, reason: 'not_json', detail: 'the record is not JSON in UTF-8' };
  }
  const { data, error } = findingSchema.safeParse(json);
  return data ?? { record, reason: 'not_a_finding', detail: error.issues[0]?.path.join('.') ?? '' };
}

function digestBytes(hex: string): Uint8Array {
  return hex === '' ? Buffer.alloc(32) : Buffer.from(hex, 'hex');
}
