import type { Bus } from '@bintrail/runtime/bus.ts';

/** A bus under drills. Another adapter joins them with one of these. */
export type DrilledBus = {
  readonly name: string;
  /** Opens the bus that lives at `location`, with all topics. */
  readonly open: (location: string) => Bus | Promise<Bus>;
  /** How large the largest bad record is: what the bus takes, beyond the plans of the stages where it can. */
  readonly oversizedBytes: number;
};
