/** Rows of a roll-up in a window, summed where they are kept summed (migration 0006): ever, by day, the rest by hour. */
import type { Window } from '../time.ts';
import { sqlScope } from './scope.ts';

const SECONDS_A_DAY = 86_400;

export type Sums = {
  /** For FROM: rows of `hour` (of a whole day its first, of all time 0), the columns, n, first_seen and last_seen. */
  readonly sql: string;
  readonly params: Readonly<Record<string, number>>;
};

/**
 * The hours that a window reaches into, by some of the table's key columns. There may be several rows of one key, and
 * what a late digest moved away is among them with nothing or less: sum n again and drop what is not above 0.
 */
export function sumsIn(
  table: 'sightings' | 'sighting_nodes',
  window: Window,
  columns: readonly string[],
  where: string,
): Sums {
  const { sinceS, untilS } = sqlScope({ window }).hourRange;
  const firstDay = Math.ceil((sinceS ?? 0) / SECONDS_A_DAY) * SECONDS_A_DAY;
  const endDay = untilS === undefined ? undefined : Math.floor(untilS / SECONDS_A_DAY) * SECONDS_A_DAY;
  const keys = columns.map((column) => `, ${column}`).join('');
  const parts = rangesOf(sinceS, untilS, firstDay, endDay).map(
    ({ at, range }) =>
      `SELECT ${at} AS at${keys}, sum(n) AS total, min(first_seen) AS earliest, max(last_seen) AS latest
       FROM ${table} WHERE ${range} AND ${where} GROUP BY at${keys}`,
  );
  return {
    sql: `(SELECT at AS hour${keys}, total AS n, earliest AS first_seen, latest AS last_seen
      FROM (${parts.join(' UNION ALL ')}))`,
    params: { sum_since: sinceS ?? 0, first_day: firstDay, end_day: endDay ?? 0, sum_until: untilS ?? 0 },
  };
}

const DAY = 'toStartOfDay(hour)';
const [SINCE, FIRST_DAY, END_DAY, UNTIL] = ['sum_since', 'first_day', 'end_day', 'sum_until'].map(
  (name) => `toDateTime({${name}:UInt32}, 'UTC')`,
) as [string, string, string, string];
const FROM_SINCE = `${DAY} >= toStartOfDay(${SINCE}) AND hour >= ${SINCE}`;
const TO_UNTIL = `${DAY} <= toStartOfDay(${UNTIL}) AND hour < ${UNTIL}`;

type Range = { readonly at: string; readonly range: string };

// A condition on days alone finds the sums by day; those on hours name the day as well, which says where to look.
function rangesOf(
  sinceS: number | undefined,
  untilS: number | undefined,
  firstDay: number,
  endDay: number | undefined,
): Range[] {
  if (sinceS === undefined && untilS === undefined) return [{ at: "toDateTime(0, 'UTC')", range: '1' }];
  if (endDay !== undefined && firstDay >= endDay) return [{ at: 'hour', range: `${FROM_SINCE} AND ${TO_UNTIL}` }];
  const toEnd = endDay === undefined ? '' : ` AND ${DAY} < ${END_DAY}`;
  return [
    ...((sinceS ?? 0) < firstDay ? [{ at: 'hour', range: `${FROM_SINCE} AND ${DAY} < ${FIRST_DAY}` }] : []),
    { at: DAY, range: `${DAY} >= ${FIRST_DAY}${toEnd}` },
    ...(endDay !== untilS ? [{ at: 'hour', range: `${DAY} >= ${END_DAY} AND ${TO_UNTIL}` }] : []),
  ];
}
