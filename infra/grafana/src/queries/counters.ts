/** Loss out of cumulative counters: what happened in a window is the end of it less what was there before. */
import { matches } from '../sql.ts';
import { TABLES } from '../tables.ts';

const RUN = 'node, boot, probe_epoch';
export const COUNTER = `${RUN}, event_type, place, cpu`;
// Runs of a probe that reported in the window, whatever they counted before it.
const REPORTED = `(${RUN}) IN (SELECT ${RUN} FROM ${TABLES.coverage} WHERE $__timeFilter(minute))`;

/** Times without a probe that reach into the window; one that is still open counts where it began. */
export const GAPS = `${TABLES.gaps} WHERE since <= $__toTime AND if(isNull(until), since >= $__fromTime, until > $__fromTime)
    AND node IN (SELECT node FROM ${TABLES.runCounts} WHERE last_seen >= $__fromTime)`;

// What the census counted in them, as a place like any other: in full, as nobody knows when in a gap it ran.
const IN_GAPS = `SELECT node, boot, probe_epoch, 'exec' AS event_type, 'gap' AS place, 0 AS cpu,
    assumeNotNull(unseen) AS seen_in, assumeNotNull(missed) AS lost_in`;

/** One row per counter: what it `seen_in` and `lost_in` the window. */
export const COUNTED = `(
  SELECT ${COUNTER},
    max(seen) - maxIf(seen, minute < $__fromTime) AS seen_in,
    max(lost) - maxIf(lost, minute < $__fromTime) AS lost_in
  FROM ${TABLES.coverage} WHERE ${REPORTED} AND minute <= $__toTime
  GROUP BY ${COUNTER}
  UNION ALL
  ${IN_GAPS} FROM ${GAPS} AND isNotNull(missed)
)`;

/** One row per counter and interval of the window: what was seen and lost in it. */
export const COUNTED_OVER_TIME = `(
  SELECT time, ${COUNTER},
    greatest(0, seen - lagInFrame(seen) OVER counter) AS seen_in,
    greatest(0, lost - lagInFrame(lost) OVER counter) AS lost_in
  FROM (
    SELECT $__timeInterval(minute) AS time, ${COUNTER}, max(coverage.seen) AS seen, max(coverage.lost) AS lost
    FROM ${TABLES.coverage} AS coverage WHERE ${REPORTED} AND ${matches('node')} AND minute <= $__toTime
    GROUP BY time, ${COUNTER}
  )
  WINDOW counter AS (PARTITION BY ${COUNTER} ORDER BY time ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
  UNION ALL
  SELECT $__timeInterval(ended) AS time, ${COUNTER}, seen_in, lost_in
  FROM (${IN_GAPS}, assumeNotNull(until) AS ended FROM ${GAPS} AND isNotNull(missed) AND ${matches('node')})
)`;

/** 1 − lost ÷ seen: what ran is counted once, at the ring or in a gap; what was lost, wherever it was. */
export const SEEN = "sumIf(seen_in, place IN ('ring', 'gap'))";
export const COVERAGE = `greatest(0, 1 - sum(lost_in) / ${SEEN})`;
