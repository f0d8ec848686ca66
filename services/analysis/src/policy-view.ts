/** The policy as a stream reader knows it: records of `bintrail.policy` applied one after another. */
import type { Approval } from '@bintrail/schemas/approval.ts';
import { type PolicyRecord, policyRecordSchema } from '@bintrail/schemas/policy.ts';
import { type CompiledApprovals, compileApprovals } from './approvals.ts';

export type ActionRecord = Extract<PolicyRecord, { kind: 'action' }>;
type ApprovalRecord = Extract<PolicyRecord, { kind: 'approval' }>;

export type PolicyView = {
  /** Highest revision of any approval seen, 0 before the first: what findings are stamped with. */
  readonly revision: number;
  readonly approvals: CompiledApprovals;
  /** Newest action on each finding, by finding id. */
  readonly actions: ReadonlyMap<string, ActionRecord>;
  /** Newest record of each approval, by approval id. Withdrawn ones stay: an older record may still come. */
  readonly approvalRecords: ReadonlyMap<string, ApprovalRecord>;
};

export function createPolicyView(): PolicyView {
  return { revision: 0, approvals: compileApprovals([]), actions: new Map(), approvalRecords: new Map() };
}

/**
 * The view after these records. Repeated and reordered records change nothing: the highest revision of a key stays.
 * Costs a copy of the view, so hand over records in bulk.
 */
export function applyPolicy(view: PolicyView, records: readonly PolicyRecord[]): PolicyView {
  const actions = new Map(view.actions);
  const approvalRecords = new Map(view.approvalRecords);
  let { revision } = view;
  let approvals: CompiledApprovals | undefined = view.approvals;
  for (const record of records) {
    if (record.kind === 'action') keepNewest(actions, record.finding_id, record);
    else if (keepNewest(approvalRecords, record.approval.id, record)) {
      revision = Math.max(revision, record.revision);
      approvals = undefined;
    }
  }
  return { revision, approvals: approvals ?? compileApprovals(standing(approvalRecords)), actions, approvalRecords };
}

function keepNewest<R extends { readonly revision: number }>(newest: Map<string, R>, key: string, record: R): boolean {
  const known = newest.get(key);
  if (known !== undefined && known.revision >= record.revision) return false;
  newest.set(key, record);
  return true;
}

function* standing(records: ReadonlyMap<string, ApprovalRecord>): Iterable<Approval> {
  for (const { deleted, approval } of records.values()) if (!deleted) yield approval;
}

/** Reads one record of the topic; undefined when it is none, which is for the caller to count. Never throws. */
export function readPolicyRecord(value: Uint8Array): PolicyRecord | undefined {
  const parsed = policyRecordSchema.safeParse(parseJson(Buffer.from(value).toString('utf8')));
  return parsed.success ? parsed.data : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The view after records as the bus carries them; `invalid` is told of each that is none, which is left out. */
export function applyPolicyRecords<R extends { readonly value: Uint8Array }>(
  view: PolicyView,
  records: readonly R[],
  invalid: (record: R) => void,
): PolicyView {
  const known = records.flatMap((record) => {
    const read = readPolicyRecord(record.value);
    if (read === undefined) invalid(record);
    return read === undefined ? [] : [read];
  });
  return applyPolicy(view, known);
}
