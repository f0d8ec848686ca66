/** Stores plans of event messages exactly once, however often and wherever they were interrupted before. */
import { setImmediate as turn } from 'node:timers/promises';
import type { BusRecord, Plan } from '@bintrail/runtime/bus.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { createMessageReader, type MessageReader } from './messages.ts';
import { type PlanOutcome, planBlocks, type TableBlock } from './plan-blocks.ts';
import { createFindEarlier } from './repeats.ts';

/** @throws Transient when the store is away; the call is to be repeated with the same plan */
export type StoreEvents = (plan: Plan) => Promise<PlanOutcome>;

/** Messages decoded before others of this process have their turn: some 10 ms of work. */
const SLICE_BYTES = 256 * 1024;
/** Blocks on their way to the store: one is written while the next is made. */
const MAX_INSERTS = 2;

/**
 * Inserts a plan's blocks, each under its own token: what an interrupted run had stored already changes nothing, the
 * rest is added. The rows of `batches` come last and alone, so they never speak of rows that are not there. `messages`
 * may hold what was decoded while the store was busy with the plan before.
 */
export function createStoreEvents(store: Store, messages: MessageReader = createMessageReader()): StoreEvents {
  const findEarlier = createFindEarlier(store);
  return async (plan) => {
    await decodeInTurns(messages, plan.records);
    const earlier = await findEarlier(plan, messages.peek);
    return insertAll(store, planBlocks(plan, earlier, messages.read));
  };
}

async function decodeInTurns(messages: MessageReader, records: readonly BusRecord[]): Promise<void> {
  let slice: BusRecord[] = [];
  let sizeBytes = 0;
  for (const record of records) {
    if (messages.peek(record) !== undefined) continue;
    slice.push(record);
    sizeBytes += record.value.length;
    if (sizeBytes < SLICE_BYTES) continue;
    messages.prepare(slice);
    await turn();
    slice = [];
    sizeBytes = 0;
  }
  messages.prepare(slice);
}

/** All inserts have ended when it resolves or rejects: a repeat never runs beside what it repeats. */
async function insertAll(store: Store, blocks: Generator<TableBlock, PlanOutcome>): Promise<PlanOutcome> {
  const running = new Set<Promise<void>>();
  const faults: unknown[] = [];
  let step = blocks.next();
  while (!step.done && faults.length === 0) {
    const { table, body, token } = step.value;
    // What says that rows are stored waits for all of them.
    while (running.size >= (table === 'batches' ? 1 : MAX_INSERTS)) await Promise.race(running);
    if (faults.length > 0) break;
    const insert: Promise<void> = store
      .insertNative(table, body, token)
      .catch((error: unknown) => void faults.push(error))
      .finally(() => running.delete(insert));
    running.add(insert);
    step = blocks.next();
  }
  await Promise.all(running);
  if (faults.length > 0) throw faults[0];
  return step.value as PlanOutcome;
}
