/** What a bench is and what it hands back. Each runs in a process of its own (`one.ts`). */
import type { Summary } from './stats.ts';

/** What was wanted of a figure, or of its ratio to the baseline. */
export type Aim = { readonly of: 'value' | 'ratio'; readonly op: '≤' | '≥'; readonly value: number };

export type Figure = {
  readonly what: string;
  readonly unit: string;
  readonly value: Summary;
  /** Shown in brackets in place of the quartiles. */
  readonly detail?: string;
  /** What the same run measured beside it, in the same unit. */
  readonly baseline?: { readonly what: string; readonly value: Summary };
  /** Of `value` to the baseline, pair by pair. */
  readonly ratio?: Summary;
  readonly aim?: Aim;
  /** Why it is as it is where the aim is missed; shown only then. */
  readonly whyMissed?: string;
};

export type Bench = {
  readonly name: string;
  readonly title: string;
  /** How it is measured, what it leaves out, and how often. */
  readonly method: string;
  /** Why it cannot run here; undefined when it can. */
  readonly whyNotHere?: () => string | undefined;
  readonly run: () => Promise<readonly Figure[]>;
};

/** By what share an aim is missed; undefined when it is met or there is none. */
export function missedBy({ aim, value, ratio }: Figure): number | undefined {
  const measured = aim?.of === 'ratio' ? ratio?.median : value.median;
  if (aim === undefined || measured === undefined) return undefined;
  const share = aim.op === '≤' ? measured / aim.value - 1 : 1 - measured / aim.value;
  return share > 0 ? share : undefined;
}
