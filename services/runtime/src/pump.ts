import type { Bus, Plan, SubscribeOptions } from './bus.ts';
import { type Dead, deadMessage, inLots } from './dead.ts';
import { type Health, watchWork } from './health.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { type Backoff, retry } from './retry.ts';

/** What a stage made of one plan: records it took in, things it put out, and the records it could not use. */
export type Processed = { readonly in: number; readonly out: number; readonly dead: readonly Dead[] };

export type PumpOptions = SubscribeOptions & {
  readonly bus: Bus;
  /** Names the stage in metrics, logs and dead letters. */
  readonly stage: string;
  readonly deadTopic: string;
  /**
   * Must do the same again when it is called again with the same plan. May watch `signal` and reject with its reason
   * to give up early when the pump is stopped or the plan is another's.
   */
  readonly process: (plan: Plan, signal: AbortSignal) => Promise<Processed>;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Stops the pump as `close` does. */
  readonly signal?: AbortSignal;
  /** First and longest wait between tries; defaults 100 ms and 30 s. */
  readonly backoff?: Backoff;
};

export type Pump = {
  /** Resolves when stopped; rejects with what `process` threw, unless that was Transient. */
  readonly done: Promise<void>;
  /** Degraded while tries fail or a plan takes long; down when the pump has ended. */
  health(): Health;
  /** Resolves while it is a member of its group, with or without partitions; rejects with why not. */
  ready(): Promise<void>;
  /** Hands out no further plan and waits for the running one; one that only waits for its next try is left undone. */
  close(): Promise<void>;
};

/** 30 s: a dependency that is back is used soon, one that is down for a day costs a few log lines a minute. */
const DEFAULT_BACKOFF: Backoff = { baseMs: 100, capMs: 30_000 };

/** Thrown inside the handler to leave a plan unacknowledged when the pump is stopped. */
const STOPPED = new Error('the pump was stopped');

/** The one loop of a stage: take a plan, process it, put dead records aside, acknowledge; wait and repeat on Transient. */
export function pump(options: PumpOptions): Pump {
  const { bus, stage, topic, group, deadTopic } = options;
  const stopping = new AbortController();
  const meter = options.metrics.stage(stage, topic);
  const watch = watchWork();
  const forgetLag = meter.watchLag(() => bus.lag(topic, group));
  const retrying = <T>(plan: Plan, signal: AbortSignal, what: string, work: () => Promise<T>): Promise<T> =>
    retry(work, options.backoff ?? DEFAULT_BACKOFF, signal, (error, waitMs) => {
      meter.retried();
      watch.failed(plan.partition);
      options.log.warn({ stage, topic, what, waitMs: Math.round(waitMs), err: error }, 'trying again');
    });

  const handle = async (plan: Plan, signal: AbortSignal): Promise<void> => {
    const startedMs = performance.now();
    const result = await retrying(plan, signal, 'process', () => options.process(plan, signal));
    for (const lot of inLots(result.dead.map(deadMessage)))
      await retrying(plan, signal, 'dead letters', () => bus.publish(deadTopic, lot));
    meter.processed({
      in: result.in,
      out: result.out,
      dead: result.dead.length,
      batch: plan.records.length,
      seconds: (performance.now() - startedMs) / 1000,
    });
  };
  const subscription = bus.subscribe(options, async (plan, over) => {
    watch.began(plan.partition);
    try {
      await handle(plan, AbortSignal.any([stopping.signal, over]));
    } finally {
      watch.finished(plan.partition);
    }
  });
  const ended = subscription.done.catch((error: unknown) => {
    if (error !== STOPPED) throw error;
  });
  const close = async (): Promise<void> => {
    stopping.abort(STOPPED);
    await subscription.close();
  };
  const stop = (): void => void close();
  options.signal?.addEventListener('abort', stop, { once: true });
  if (options.signal?.aborted) stop();
  const done = ended.finally(() => {
    watch.ended();
    forgetLag();
    options.signal?.removeEventListener('abort', stop);
  });
  const ready = async (): Promise<void> => {
    if (!subscription.isMember()) throw new Error(`${stage} is no member of its group on ${topic} yet`);
  };
  return { done, close, health: watch.health, ready };
}
