import type { Log } from '@bintrail/runtime/log.ts';
import type { Finding } from '@bintrail/schemas/finding.ts';
import type { Counts } from './compose.ts';

/** An alert is worth more than the count in it: of the 2 s it may take in all this is what the others leave. */
const MAX_WAIT_MS = 500;

/** Asks for the counts of a finding; undefined when the store fails, is slow, or has not stored a sighting yet. */
export async function countInTime(
  counts: (finding: Finding) => Promise<Counts>,
  finding: Finding,
  log: Log,
): Promise<Counts | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), MAX_WAIT_MS);
  try {
    const known = await Promise.race([counts(finding), late]);
    return known === undefined || known.count < 1 ? undefined : known;
  } catch (error) {
    // Whatever is wrong with the store or the query, even a bug, must not keep an alert from being posted.
    log.warn({ err: error, finding_id: finding.finding_id }, 'posting without counts');
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
