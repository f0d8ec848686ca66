/** Bus → store: events with their roll-ups, and findings. */
import type { Bus, Plan } from '@bintrail/runtime/bus.ts';
import type { Dead } from '@bintrail/runtime/dead.ts';
import { type Health, worstOf } from '@bintrail/runtime/health.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import type { Metrics } from '@bintrail/runtime/metrics.ts';
import { type Pump, pump } from '@bintrail/runtime/pump.ts';
import type { Backoff } from '@bintrail/runtime/retry.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { INGEST_GROUP, TOPICS } from '@bintrail/schemas/topics.ts';
import { createStoreEvents } from './events-stage.ts';
import { storeFindings } from './findings-stage.ts';
import { createMessageReader, type DeadRecord } from './messages.ts';

export type IngestOptions = {
  readonly bus: Bus;
  readonly store: Store;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly backoff?: Backoff;
};

export type Ingest = {
  /** Resolves when closed; rejects when the store refuses something for good, and nothing is taken from the bus then. */
  readonly done: Promise<void>;
  health(): Health;
  /** Resolves while it takes part in storing both topics; rejects with why not. */
  ready(): Promise<void>;
  close(): Promise<void>;
};

// Many small messages make one block: an INSERT costs milliseconds however few rows it has, and the last rows of one of
// 100 thousand half of what those of one of 50 thousand cost. What a plan may blow up to does not matter, its blocks are
// cut by their own limits. Of a fleet's bus one copy has several partitions, each with plans of its own.
const EVENTS_PLAN = {
  topic: TOPICS.events,
  group: INGEST_GROUP,
  maxRecords: 16_384,
  maxBytes: 16 * 1024 * 1024,
  gatherMs: 200,
};
const FINDINGS_PLAN = {
  topic: TOPICS.findings,
  group: 'ingest-findings',
  maxRecords: 1024,
  maxBytes: 8 * 1024 * 1024,
};

/** Starts taking events and findings from the bus at once. */
export function createIngest({ bus, store, log, metrics, backoff }: IngestOptions): Ingest {
  const repeats = metrics.counter('ingest_repeats_total', 'Messages whose rows were stored under an earlier offset.');
  const asDead = (stage: string, plan: Plan, { record, reason, detail }: DeadRecord): Dead => {
    const where = { stage, topic: plan.topic, partition: plan.partition, offset: record.offset };
    log.warn({ ...where, reason, detail }, 'a record was put aside');
    return { ...where, reason, key: record.key, bytes: record.value };
  };
  const common = { bus, log, metrics, deadTopic: TOPICS.dead, ...(backoff && { backoff }) };
  const messages = createMessageReader();
  const storeEvents = createStoreEvents(store, messages);
  const events = pump({
    ...common,
    ...EVENTS_PLAN,
    stage: 'ingest',
    ahead: messages,
    process: async (plan) => {
      const outcome = await storeEvents(plan);
      repeats.inc(outcome.repeats);
      const dead = outcome.dead.map((record) => asDead('ingest', plan, record));
      return { in: plan.records.length, out: outcome.rows, dead };
    },
  });
  const findings = pump({
    ...common,
    ...FINDINGS_PLAN,
    stage: 'ingest-findings',
    process: async (plan) => {
      const outcome = await storeFindings(store, plan);
      const dead = outcome.dead.map((record) => asDead('ingest-findings', plan, record));
      return { in: plan.records.length, out: outcome.rows, dead };
    },
  });
  return together([events, findings]);
}

/** One that ends by an error ends the others. */
function together(pumps: readonly Pump[]): Ingest {
  const close = async (): Promise<void> => {
    await Promise.all(pumps.map((each) => each.close()));
  };
  const watched = pumps.map((each) =>
    each.done.catch(async (error: unknown) => {
      await close();
      throw error;
    }),
  );
  return {
    done: Promise.all(watched).then(() => undefined),
    close,
    health: () => worstOf(pumps.map((each) => each.health())),
    async ready() {
      await Promise.all(pumps.map((each) => each.ready()));
    },
  };
}
