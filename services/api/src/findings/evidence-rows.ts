/** Findings as detect first published them. */
import type { Store } from '@bintrail/runtime/store.ts';
import { type Evidence, evidenceSchema, type Finding } from '@bintrail/schemas/finding.ts';

/** First sight of a finding. Texts are printable. */
export type EvidenceRow = Omit<Finding, 'evidence' | 'ts_ns' | 'finding_id' | 'rule_version' | 'policy_revision'> & {
  readonly id: string;
  readonly tsNs: bigint;
  readonly evidence: Evidence;
};

/** Where a page of findings ends: nanoseconds of the first sight, in decimal, and id. */
export type FindingKey = readonly [firstNs: string, id: string];

export type FindingFilters = {
  readonly rule?: string | undefined;
  readonly sha256?: string | undefined;
  readonly workload?: string | undefined;
  readonly node?: string | undefined;
};

type KeyRow = { id: string; first_ns: string };

/**
 * Keys of findings, newest first sight first. The filters by node and time only leave out what cannot pass: who reads
 * on checks each finding by its sightings.
 */
export async function readKeys(
  store: Store,
  { rule, sha256, workload, node }: FindingFilters,
  sinceNs: bigint,
  after: FindingKey | undefined,
  limit: number,
): Promise<FindingKey[]> {
  const conditions = ['1'];
  if (rule !== undefined) conditions.push('rule = {rule:String}');
  if (sha256 !== undefined) conditions.push('sha256 = toFixedString(unhex({sha256:String}), 32)');
  if (workload !== undefined) conditions.push('workload = {workload:String}');
  if (node !== undefined) conditions.push(maySeen('sighting_nodes', 'node = {node:String}', 'node = {node:String}'));
  if (sinceNs > 0n) {
    const since = 'fromUnixTimestamp64Nano({since:Int64})';
    conditions.push(maySeen('sightings', `last_seen >= ${since}`, `ts >= ${since}`));
  }
  const rows = await store.query<KeyRow>(
    `SELECT lower(hex(finding_id)) AS id, toUnixTimestamp64Nano(min(ts)) AS first_ns
     FROM finding_evidence WHERE ${conditions.join(' AND ')} GROUP BY finding_id
     ${after === undefined ? '' : 'HAVING (first_ns, id) < ({after_ns:Int64}, {after_id:String})'}
     ORDER BY first_ns DESC, id DESC LIMIT {limit:UInt32}`,
    {
      limit,
      since: String(sinceNs),
      ...(rule === undefined ? {} : { rule }),
      ...(sha256 === undefined ? {} : { sha256 }),
      ...(workload === undefined ? {} : { workload }),
      ...(node === undefined ? {} : { node }),
      ...(after === undefined ? {} : { after_ns: after[0], after_id: after[1] }),
    },
  );
  return rows.map(({ first_ns, id }) => [first_ns, id]);
}

// Of findings by path, and of changed files, all may pass: their paths are printable text here and bytes there.
function maySeen(table: string, sightingCondition: string, evidenceCondition: string): string {
  const digests = `SELECT sha256 FROM ${table} WHERE ${sightingCondition}`;
  return `(${evidenceCondition} OR startsWith(subject, 'path:') OR startsWith(subject, 'changed:') OR sha256 IN (${digests}))`;
}

type SqlRow = Omit<EvidenceRow, 'evidence' | 'tsNs'> & { ts_ns: string; evidence: string };

const NO_DIGEST = '0'.repeat(64);

/** The first sight of each of these findings, by id. */
export async function readEvidence(store: Store, ids: readonly string[]): Promise<Map<string, EvidenceRow>> {
  const rows = await store.query<SqlRow>(
    `SELECT lower(hex(finding_id)) AS id, lower(hex(group_id)) AS group_id, rule, severity, workload, subject,
       lower(hex(finding_evidence.sha256)) AS sha256, path, role, node, toUnixTimestamp64Nano(ts) AS ts_ns, evidence
     FROM finding_evidence
     WHERE finding_id IN (SELECT toFixedString(unhex(arrayJoin({ids:Array(String)})), 32))
     ORDER BY ts LIMIT 1 BY finding_id`,
    { ids },
  );
  return new Map(rows.map((row) => [row.id, toEvidenceRow(row)]));
}

function toEvidenceRow({ ts_ns, evidence, sha256, ...row }: SqlRow): EvidenceRow {
  return {
    ...row,
    sha256: sha256 === NO_DIGEST ? '' : sha256,
    tsNs: BigInt(ts_ns),
    evidence: evidenceSchema.parse(JSON.parse(evidence)),
  };
}
