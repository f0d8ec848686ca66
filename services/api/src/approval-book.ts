/** The approvals of the store, held in memory and compiled: every verdict of an answer is judged by them. */
import { type CompiledApprovals, compileApprovals } from '@bintrail/analysis/approvals.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import type { Approval } from '@bintrail/schemas/approval.ts';
import { type ApprovalRow, type ApprovalState, insertApprovalRow, readApprovalRows } from './approval-rows.ts';

export type ApprovalBook = {
  /** Highest revision written: grows with every change to any approval. */
  revision(): number;
  compiled(): CompiledApprovals;
  /** Approvals that were not withdrawn, also expired ones; newest first. */
  list(): readonly Approval[];
  get(id: string): Approval | undefined;
  /** The newest state of every approval, withdrawn ones too: what `bintrail.policy` must hold. */
  newest(): readonly ApprovalState[];
  /** Stores the next revision of an approval and judges by it from here on. One call at a time. */
  write(change: {
    readonly approval: Approval;
    readonly deleted: boolean;
    readonly atMs: number;
  }): Promise<ApprovalRow>;
  /** Judges by what another copy wrote from here on; what is older than what is known changes nothing. */
  take(states: readonly ApprovalState[]): void;
  reload(): Promise<void>;
};

/** Empty until the first `reload`. */
export function createApprovalBook(store: Store): ApprovalBook {
  let newest = new Map<string, ApprovalState>();
  let revision = 0;
  let standing: readonly Approval[] = [];
  let compiled = compileApprovals([]);
  // After an insert with an unknown outcome its revision may be taken.
  let isCertain = false;

  function index(): void {
    const rows = [...newest.values()].sort((a, b) => b.revision - a.revision);
    revision = rows[0]?.revision ?? 0;
    standing = rows.filter(({ deleted }) => !deleted).map(({ approval }) => approval);
    compiled = compileApprovals(standing);
  }

  async function reload(): Promise<void> {
    newest = new Map((await readApprovalRows(store)).map((row) => [row.approval.id, row]));
    index();
    isCertain = true;
  }

  return {
    revision: () => revision,
    compiled: () => compiled,
    list: () => standing,
    get: (id) => {
      const row = newest.get(id);
      return row === undefined || row.deleted ? undefined : row.approval;
    },
    newest: () => [...newest.values()],
    async write({ approval, deleted, atMs }) {
      if (!isCertain) await reload();
      const next = revision + 1;
      const row = { revision: next, deleted, atMs, approval: { ...approval, revision: next } };
      isCertain = false;
      await insertApprovalRow(store, row);
      isCertain = true;
      newest.set(approval.id, row);
      index();
      return row;
    },
    take(states) {
      for (const state of states) {
        const known = newest.get(state.approval.id);
        if (known === undefined || known.revision < state.revision) newest.set(state.approval.id, state);
      }
      index();
    },
    reload,
  };
}
