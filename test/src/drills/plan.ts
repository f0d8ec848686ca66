/** What is killed and when, from one number: the same seed plans the same drills. */
import { seededRandom } from '../seeded-random.ts';

/** `everything` is the supervisor and all parts in one go, as a power cut would do it. */
export const TARGETS = ['probe', 'backend', 'clickhouse', 'supervisor', 'everything'] as const;
export type Target = (typeof TARGETS)[number];

export type Drill = {
  readonly target: Target;
  /** What `afterMs` counts from: the start of the supervisor, or the moment it said that all is up. */
  readonly since: 'start' | 'up';
  readonly afterMs: number;
  /** Starts anew while what the dead supervisor left behind is still ending, as an impatient operator does. */
  readonly impatient: boolean;
};

const STARTING_SHARE = 0.3;
/** Longer than a start takes, which is 2 s on an idle machine and three times that on a busy one. */
const STARTING_MS = 6_000;
const RUNNING_MS = 4_000;

/** `seed` is a whole number from 0 to 2³² − 1. */
export function planDrills(seed: number, count: number): Drill[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => {
    const starting = random() < STARTING_SHARE;
    return {
      target: TARGETS[Math.floor(random() * TARGETS.length)]!,
      since: starting ? ('start' as const) : ('up' as const),
      afterMs: Math.floor(random() * (starting ? STARTING_MS : RUNNING_MS)),
      impatient: random() < 0.5,
    };
  });
}

export function describeDrill({ target, since, afterMs, impatient }: Drill): string {
  return `${target} ${afterMs} ms after ${since}${impatient ? ', restarted at once' : ''}`;
}
