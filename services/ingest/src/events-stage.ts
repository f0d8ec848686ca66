/** Stores plans of event messages exactly once, however often and wherever they were interrupted before. */
import type { Plan } from '@bintrail/runtime/bus.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { type PlanOutcome, planBlocks } from './plan-blocks.ts';
import { createFindEarlier } from './repeats.ts';

/** @throws Transient when the store is away; the call is to be repeated with the same plan */
export type StoreEvents = (plan: Plan) => Promise<PlanOutcome>;

/**
 * Inserts a plan's blocks one after the other, each under its own token: what an interrupted run had stored already
 * changes nothing, the rest is added. The rows of `batches` come last, so they never speak of rows that are not there.
 */
export function createStoreEvents(store: Store): StoreEvents {
  const findEarlier = createFindEarlier(store);
  return async (plan) => {
    const blocks = planBlocks(plan, await findEarlier(plan));
    let step = blocks.next();
    while (!step.done) {
      const { table, body, token } = step.value;
      await store.insertNative(table, body, token);
      step = blocks.next();
    }
    return step.value;
  };
}
