/** Acknowledges and resolves findings: rows first, then the bus. */
import { insertAuditRows } from '../audit-rows.ts';
import type { Deps } from '../deps.ts';
import { notFound, Problem } from '../problem.ts';
import type { Actor } from '../token-book.ts';
import { type ActionKind, type ActionRow, actionRecord, insertActionRows, lastActionRevision } from './action-rows.ts';
import { readFindings, type StandingFinding } from './read.ts';

export type Act = { readonly ids: readonly string[]; readonly action: ActionKind; readonly reason: string };

/**
 * Does it to all of them or, if one is unknown, to none. What is so already stays as it is: a repeated request changes
 * nothing. Answers the findings as they then stand. Runs as the one writer.
 */
export async function actOn(deps: Deps, actor: Actor, act: Act): Promise<StandingFinding[]> {
  const ids = [...new Set(act.ids)];
  const before = await readNow(deps, ids);
  refuseUnknown(ids, before);
  const affected = before.filter((finding) => changes(finding, act.action));
  if (affected.length === 0) return before;
  const atMs = deps.clock();
  const affectedIds = affected.map(({ first }) => first.id);
  await insertAuditRows(
    deps.store,
    actor,
    atMs,
    affectedIds.map((id) => ({
      action: `finding.${act.action}`,
      object: `finding:${id}`,
      detail: { reason: act.reason },
    })),
  );
  const last = await lastActionRevision(deps.store);
  const rows = affectedIds.map((finding_id, index): ActionRow => {
    const revision = last + 1 + index;
    return { revision, finding_id, action: act.action, reason: act.reason, actor: actor.name, atMs };
  });
  await insertActionRows(deps.store, rows);
  const after = await readNow(deps, ids);
  const resolutions = new Map(after.map((finding) => [finding.first.id, resolutionsOf(finding)]));
  await deps.publisher.publish(rows.map((row) => actionRecord(row, resolutions.get(row.finding_id) ?? 0)));
  return after;
}

function readNow({ store, approvals, clock }: Deps, ids: readonly string[]): Promise<StandingFinding[]> {
  return readFindings(store, ids, { approvals: approvals.compiled(), nowMs: clock() });
}

function refuseUnknown(ids: readonly string[], found: readonly StandingFinding[]): void {
  if (found.length === ids.length) return;
  if (ids.length === 1) throw notFound('finding with this id');
  const known = new Set(found.map(({ first }) => first.id));
  const errors = ids
    .map((id, index) => ({ id, in: 'body' as const, at: `/ids/${index}`, detail: 'there is no finding with this id' }))
    .filter(({ id }) => !known.has(id))
    .map(({ id: _, ...fault }) => fault);
  throw new Problem('not-found', `${errors.length} of the findings do not exist; nothing was changed.`, { errors });
}

function changes({ state }: StandingFinding, action: ActionKind): boolean {
  return action === 'acknowledge' ? state === 'open' : state !== 'resolved';
}

function resolutionsOf({ episode, resolved_by }: StandingFinding): number {
  return episode + (resolved_by === 'action' ? 1 : 0);
}
