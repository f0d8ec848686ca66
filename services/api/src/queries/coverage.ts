import type { Store } from '@bintrail/runtime/store.ts';
import type { CoverageQuestion, WindowCoverage } from '../coverage-answer.ts';
import { sqlTime } from '../time.ts';

/**
 * How complete the asked window is. Counters are cumulative, so what happened in a window is the highest at its end
 * less the highest before it; they are kept by the minute and per node, never per workload.
 */
export async function windowCoverage(
  store: Store,
  { sinceNs, untilNs, node, workload }: CoverageQuestion,
): Promise<WindowCoverage> {
  const window = { since: sqlTime(sinceNs), until: sqlTime(untilNs) };
  const onNode = node === undefined ? '' : 'AND node = {node:String}';
  const ofWorkload = workload === undefined ? '' : 'AND workload = {workload:String}';
  const names = { ...(node === undefined ? {} : { node }), ...(workload === undefined ? {} : { workload }) };
  const [[counted], [stored]] = await Promise.all([
    store.query<{ seen: string; lost: string }>(
      `SELECT sumIf(seen_in, place = 'ring') AS seen, sum(lost_in) AS lost FROM (
         SELECT place,
           max(seen) - maxIf(seen, minute < toStartOfMinute({since:DateTime64(9, 'UTC')})) AS seen_in,
           max(lost) - maxIf(lost, minute < toStartOfMinute({since:DateTime64(9, 'UTC')})) AS lost_in
         FROM coverage WHERE minute < {until:DateTime64(9, 'UTC')} ${onNode}
         GROUP BY node, boot, probe_epoch, event_type, place, cpu)`,
      { ...window, ...(node === undefined ? {} : { node }) },
    ),
    store.query<{ events: string; digests: string }>(
      `SELECT sum(n) AS events, sumIf(n, digest_reason = '') AS digests FROM sighting_nodes
       WHERE hour >= toStartOfHour({since:DateTime64(9, 'UTC')}) AND hour < {until:DateTime64(9, 'UTC')}
         ${onNode} ${ofWorkload}`,
      { ...window, ...names },
    ),
  ]);
  const [seen, lost] = [Number(counted?.seen ?? 0), Number(counted?.lost ?? 0)];
  const [events, digests] = [Number(stored?.events ?? 0), Number(stored?.digests ?? 0)];
  return {
    events_seen: seen,
    events_stored: events,
    events_lost: lost,
    ratio: seen === 0 ? null : Math.max(0, 1 - lost / seen),
    digest_ratio: events === 0 ? null : digests / events,
  };
}
