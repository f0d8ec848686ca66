/** Medians and spread: a shared machine has outliers on one side only, which a mean would follow. */

/** `low` and `high` are the quartiles: half of what was measured lies between them. */
export type Summary = {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly samples: number;
};

/** Linear interpolation between the two nearest ranks (type 7 of Hyndman and Fan 1996). Throws for no values. */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) throw new RangeError('no values');
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const below = Math.floor(at);
  const [left, right] = [sorted[below]!, sorted[Math.min(below + 1, sorted.length - 1)]!];
  return left + (right - left) * (at - below);
}

export function summarize(values: readonly number[]): Summary {
  const [low, median, high] = [quantile(values, 0.25), quantile(values, 0.5), quantile(values, 0.75)];
  return { median, low, high, samples: values.length };
}

/** A single number that was not measured several times. */
export function single(value: number, samples = 1): Summary {
  return { median: value, low: value, high: value, samples };
}

/** Ratio of each `a` to the `b` measured beside it. */
export function ratios(a: readonly number[], b: readonly number[]): Summary {
  return summarize(a.map((value, index) => value / b[index]!));
}

/** Alternates A B, B A, A B, …: a machine that slows down or warms up does so for both. */
export async function alternate<T>(
  pairs: number,
  runA: () => Promise<T>,
  runB: () => Promise<T>,
): Promise<{ a: T[]; b: T[] }> {
  const a: T[] = [];
  const b: T[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    if (pair % 2 === 0) a.push(await runA());
    b.push(await runB());
    if (pair % 2 === 1) a.push(await runA());
  }
  return { a, b };
}
