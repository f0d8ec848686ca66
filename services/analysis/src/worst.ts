import { VERDICTS, type Verdict, type VerdictValue } from '@bintrail/schemas/sighting.ts';

/** A verdict over many sightings: the worst of them, and how often each value was seen. */
export type CombinedVerdict = Verdict & { readonly verdicts: Readonly<Record<VerdictValue, number>> };

/**
 * Combines the verdicts of sightings, each with its count. Of those with the worst value the most frequent explanation
 * is shown. Counts of 0 and less (keys that a late digest emptied) are left out; with nothing left it is `unknown`.
 */
export function worst(judged: Iterable<{ readonly verdict: Verdict; readonly n: number }>): CombinedVerdict {
  const verdicts: Record<VerdictValue, number> = { denied: 0, unapproved: 0, unknown: 0, explained: 0, approved: 0 };
  const reasons = new Map<string, { verdict: Verdict; n: number }>();
  for (const { verdict, n } of judged) {
    if (n <= 0) continue;
    verdicts[verdict.value] += n;
    const key = `${verdict.value} ${verdict.why}`;
    const reason = reasons.get(key);
    if (reason === undefined) reasons.set(key, { verdict, n });
    else reason.n += n;
  }
  const value = VERDICTS.find((candidate) => verdicts[candidate] > 0);
  const [decisive] = [...reasons.values()]
    .filter(({ verdict }) => verdict.value === value)
    .sort((a, b) => b.n - a.n || (a.verdict.why < b.verdict.why ? -1 : 1));
  if (decisive === undefined) return { value: 'unknown', why: 'Not seen.', approval_id: null, verdicts };
  return { ...decisive.verdict, verdicts };
}
