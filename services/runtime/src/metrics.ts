import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

type Lag = { records: number; oldestAgeMs: number };

/** The numbers of one stage on one topic. */
export type StageMeter = {
  /** After each plan: records in, things out, dead records, records of the plan, and seconds it took with retries. */
  processed(facts: { in: number; out: number; dead: number; batch: number; seconds: number }): void;
  retried(): void;
  /** Asks `read` at every scrape; the returned function ends that. */
  watchLag(read: () => Promise<Lag>): () => void;
};

export type Metrics = {
  readonly registry: Registry;
  stage(stage: string, topic: string): StageMeter;
  counter<L extends string = never>(name: string, help: string, labels?: readonly L[]): Counter<L>;
  gauge<L extends string = never>(name: string, help: string, labels?: readonly L[]): Gauge<L>;
  histogram<L extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    labels?: readonly L[],
  ): Histogram<L>;
  /** The answer to a scrape. */
  text(): Promise<{ contentType: string; body: string }>;
};

/** prom-client's own 10 ms keeps a timer running that costs 0.8 % of a core while idle; 200 ms costs 0.03 %. */
const EVENT_LOOP_RESOLUTION_MS = 200;
const SECONDS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30];
const RECORDS = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000];

/** While the bus cannot be asked a scrape does without its numbers: the others are then the more wanted. */
const unknown = (): undefined => undefined;

/** A registry of its own with the process's metrics and those of its stages; all names begin with `prefix`. */
export function createMetrics(prefix = 'bintrail_'): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix, eventLoopMonitoringPrecision: EVENT_LOOP_RESOLUTION_MS });
  const metrics: Omit<Metrics, 'stage'> = {
    registry,
    counter: (name, help, labelNames = []) => new Counter({ name: prefix + name, help, labelNames, registers }),
    gauge: (name, help, labelNames = []) => new Gauge({ name: prefix + name, help, labelNames, registers }),
    histogram: (name, help, buckets, labelNames = []) =>
      new Histogram({ name: prefix + name, help, buckets, labelNames, registers }),
    text: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
  return { ...metrics, stage: stageMetrics(metrics, registry, prefix) };
}

function stageMetrics(
  { counter, histogram }: Omit<Metrics, 'stage'>,
  registry: Registry,
  prefix: string,
): Metrics['stage'] {
  const labels = ['stage', 'topic'] as const;
  const records = {
    in: counter('stage_in_total', 'Records a stage took from the bus.', labels),
    out: counter('stage_out_total', 'Things a stage put out.', labels),
    dead: counter('stage_dead_total', 'Records a stage could not use and put aside.', labels),
  };
  const retries = counter('stage_retries_total', 'Times a stage waited for a dependency and tried again.', labels);
  const batch = histogram('stage_batch_records', 'Records of a plan.', RECORDS, labels);
  const seconds = histogram('stage_process_seconds', 'Time a plan took, retries included.', SECONDS, labels);
  const lags = new Map<{ stage: string; topic: string }, () => Promise<Lag>>();
  const lagGauge = (name: string, help: string, pick: (lag: Lag) => number) =>
    new Gauge({
      name: prefix + name,
      help,
      labelNames: labels,
      registers: [registry],
      async collect() {
        this.reset();
        for (const [where, read] of lags) {
          const lag = await read().catch(unknown);
          if (lag !== undefined) this.set(where, pick(lag));
        }
      },
    });
  lagGauge('stage_lag_records', 'Records published and not yet acknowledged.', (lag) => lag.records);
  lagGauge(
    'stage_oldest_unacked_seconds',
    'Age of the oldest record not yet acknowledged.',
    (lag) => lag.oldestAgeMs / 1000,
  );

  return (stage, topic) => {
    const where = { stage, topic };
    // A series that is there from the start shows a rate; one that appears with its first event does not.
    for (const each of [...Object.values(records), retries]) each.inc(where, 0);
    for (const each of [batch, seconds]) each.zero(where);
    return {
      processed(facts) {
        for (const kind of ['in', 'out', 'dead'] as const) records[kind].inc(where, facts[kind]);
        batch.observe(where, facts.batch);
        seconds.observe(where, facts.seconds);
      },
      retried: () => retries.inc(where),
      watchLag(read) {
        lags.set(where, read);
        return () => lags.delete(where);
      },
    };
  };
}
