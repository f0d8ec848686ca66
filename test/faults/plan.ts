/** What goes wrong and when, from one number: the same seed plans the same drills. */
import { seededRandom } from '../src/seeded-random.ts';

/** Stages that run as a process, or as several. */
export const SERVICES = ['probe', 'ingest', 'detect', 'notify', 'api'] as const;
export type ServiceName = (typeof SERVICES)[number];
export type Target = ServiceName | 'broker' | 'clickhouse';

/** Stages whose copies share the partitions of a topic. */
export type Rebalanced = 'ingest' | 'detect' | 'notify';

export const SLACK_FAULTS = ['429', '500', 'garbage', 'reset', 'reset-after', 'hang-after'] as const;
export type SlackFault = (typeof SLACK_FAULTS)[number];

export type Fault =
  /** kill -9, and nothing of it for `forMs`. */
  | { readonly kind: 'kill'; readonly target: Target; readonly forMs: number }
  /** SIGSTOP, and SIGCONT after `forMs`. */
  | { readonly kind: 'pause'; readonly target: Target; readonly forMs: number }
  /** A copy more for `forMs`, then another one is asked to end. */
  | { readonly kind: 'rebalance'; readonly target: Rebalanced; readonly forMs: number }
  /** The next posts fail so. */
  | { readonly kind: 'slack'; readonly faults: readonly SlackFault[] }
  /** All brokers are away while more is run than memory and file of the probe hold. */
  | { readonly kind: 'outbox'; readonly forMs: number };

export type Drill = {
  /** How long after the one before was healed. */
  readonly afterMs: number;
  readonly fault: Fault;
  /** Chooses among brokers or copies, from 0 to 1. */
  readonly which: number;
};

export type Pace = {
  readonly maxAfterMs: number;
  readonly maxAwayMs: number;
  readonly maxPauseMs: number;
};

/** For a run within minutes. A pause may be longer than the session timeout of a group, so that its member is replaced. */
export const QUICK: Pace = { maxAfterMs: 1_000, maxAwayMs: 1_500, maxPauseMs: 6_000 };
/** By hand: a pause of up to a minute. */
export const SLOW: Pace = { maxAfterMs: 4_000, maxAwayMs: 8_000, maxPauseMs: 60_000 };
const BURST_MS = 12_000;

type Draw = (random: () => number, pace: Pace) => Fault;
const upTo = (random: () => number, maxMs: number): number => Math.floor(random() * maxMs);
const kill =
  (target: Target): Draw =>
  (random, { maxAwayMs }) => ({ kind: 'kill', target, forMs: upTo(random, maxAwayMs) });
const pause =
  (target: Target): Draw =>
  (random, { maxPauseMs }) => ({ kind: 'pause', target, forMs: upTo(random, maxPauseMs) });
const rebalance =
  (target: Rebalanced): Draw =>
  (random, { maxPauseMs }) => ({ kind: 'rebalance', target, forMs: upTo(random, maxPauseMs) });
const slack: Draw = (random) => ({
  kind: 'slack',
  faults: Array.from({ length: 1 + upTo(random, 4) }, () => SLACK_FAULTS[upTo(random, SLACK_FAULTS.length)]!),
});
const outbox: Draw = () => ({ kind: 'outbox', forMs: BURST_MS });

/** Each kind has its share of every twenty-one drills, in an order of chance: none is left out by bad luck. */
const DECK: readonly Draw[] = [
  ...[...SERVICES, 'broker', 'clickhouse'].map((target) => kill(target as Target)),
  ...['probe', 'ingest', 'broker'].map((target) => kill(target as Target)),
  ...['ingest', 'detect', 'notify', 'broker', 'clickhouse'].map((target) => pause(target as Target)),
  ...[rebalance('ingest'), rebalance('detect'), rebalance('notify'), slack, slack, outbox],
];

/** `seed` is a whole number from 0 to 2³² − 1. */
export function planDrills(seed: number, count: number, pace: Pace): Drill[] {
  const random = seededRandom(seed);
  const drills: Drill[] = [];
  while (drills.length < count) {
    for (const draw of shuffled(DECK, random)) {
      drills.push({ afterMs: upTo(random, pace.maxAfterMs), fault: draw(random, pace), which: random() });
    }
  }
  return drills.slice(0, count);
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => [random(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item);
}

export function describeDrill({ afterMs, fault }: Drill): string {
  return `after ${afterMs} ms: ${describeFault(fault)}`;
}

function describeFault(fault: Fault): string {
  switch (fault.kind) {
    case 'kill':
      return `kill -9 of ${fault.target}, back after ${fault.forMs} ms`;
    case 'pause':
      return `${fault.target} stands still for ${fault.forMs} ms`;
    case 'rebalance':
      return `one more ${fault.target} for ${fault.forMs} ms, then another leaves`;
    case 'slack':
      return `Slack answers ${fault.faults.join(', ')}`;
    case 'outbox':
      return `no broker for ${fault.forMs} ms, and more to tell than the outbox holds`;
  }
}
