/** How much of a window is in the store: hours from the roll-ups, and what is left of its first and last hour one by one. */
import type { Store } from '@bintrail/runtime/store.ts';
import { LAST_SECOND } from './scope.ts';
import { sumsIn } from './sums.ts';

const NS_PER_SECOND = 1_000_000_000n;
const SECONDS_AN_HOUR = 3600;
// A window without an end takes in what the roll-ups keep in their last hour.
const NO_END_S = Number(LAST_SECOND);
// As the projection of exit_events spells it.
const EXIT_HOUR = "toStartOfHour(least(ts, toDateTime64('2106-02-07 06:00:00', 9, 'UTC')))";

/** Whole seconds since the epoch, the end not included. */
export type SecondsWindow = { readonly since_s: number; readonly until_s: number };
export type Place = { readonly node?: string | undefined; readonly workload?: string | undefined };

export type StoredCounts = {
  /** Executed files with and without a digest, in the whole hours that the window reaches into. */
  readonly executed: number;
  readonly withDigest: number;
  /** What the kernel counts: execs and loads, without what is found at the start of a probe, and exits. */
  readonly events: number;
};

export async function storedCounts(store: Store, window: SecondsWindow, place: Place): Promise<StoredCounts> {
  const inner = wholeHours(window);
  const [[hours], [exits], rest] = await Promise.all([
    fromHours(store, window, inner, place),
    store.query<{ exits: string }>(
      `SELECT count() AS exits FROM exit_events WHERE ${EXIT_HOUR} >= toDateTime({since_s:UInt32}, 'UTC')
         AND ${EXIT_HOUR} < toDateTime({until_s:UInt32}, 'UTC') AND ${isAt(place)}`,
      { ...inner, ...namesOf(place) },
    ),
    fromEvents(store, window, inner, place),
  ]);
  return {
    executed: Number(hours?.executed ?? 0),
    withDigest: Number(hours?.digests ?? 0),
    events: Number(hours?.counted ?? 0) + Number(exits?.exits ?? 0) + rest,
  };
}

/** The hours that lie in the window as a whole; none where both ends are the same. */
function wholeHours({ since_s, until_s }: SecondsWindow): SecondsWindow {
  const since = Math.ceil(since_s / SECONDS_AN_HOUR) * SECONDS_AN_HOUR;
  const until = until_s === NO_END_S ? until_s : Math.floor(until_s / SECONDS_AN_HOUR) * SECONDS_AN_HOUR;
  return since < until ? { since_s: since, until_s: until } : { since_s: until_s, until_s };
}

function fromHours(store: Store, window: SecondsWindow, inner: SecondsWindow, place: Place) {
  const sinceNs = BigInt(window.since_s) * NS_PER_SECOND;
  const untilNs = BigInt(window.until_s) * NS_PER_SECOND;
  const there = sumsIn('sighting_nodes', { sinceNs, untilNs }, ['role', 'digest_reason'], isAt(place));
  const isInner = "hour >= toDateTime({inner_since:UInt32}, 'UTC') AND hour < toDateTime({inner_until:UInt32}, 'UTC')";
  return store.query<{ executed: string; digests: string; counted: string }>(
    `SELECT sum(n) AS executed, sumIf(n, digest_reason = '') AS digests, sumIf(n, role != 'script' AND ${isInner}) AS counted
     FROM ${there.sql}`,
    { ...there.params, ...namesOf(place), inner_since: inner.since_s, inner_until: inner.until_s },
  );
}

/** Events of the window before and after its whole hours. */
async function fromEvents(store: Store, window: SecondsWindow, inner: SecondsWindow, place: Place): Promise<number> {
  const [before, after] = [window.since_s < inner.since_s, inner.until_s < window.until_s];
  if (!before && !after) return 0;
  const during = (from: string, to: string) =>
    `ts >= toDateTime({${from}:UInt32}, 'UTC') AND ts < toDateTime({${to}:UInt32}, 'UTC')`;
  const isThere = [
    ...(before ? [during('since_s', 'inner_since')] : []),
    ...(after ? [during('inner_until', 'until_s')] : []),
  ].join(' OR ');
  const [row] = await store.query<{ events: string }>(
    `SELECT sum(c) AS events FROM (
       SELECT count() AS c FROM exec_events WHERE (${isThere}) AND NOT bitTest(flags, 6) AND ${isAt(place)}
       UNION ALL SELECT sum(1 + toUInt64(repeats)) FROM load_events
         WHERE (${isThere}) AND role != 'script' AND NOT bitTest(flags, 6) AND ${isAt(place)}
       UNION ALL SELECT count() FROM exit_events WHERE (${isThere}) AND ${isAt(place)})`,
    { ...window, inner_since: inner.since_s, inner_until: inner.until_s, ...namesOf(place) },
  );
  return Number(row?.events ?? 0);
}

function isAt({ node, workload }: Place): string {
  const conditions = [
    ...(node === undefined ? [] : ['node = {node:String}']),
    ...(workload === undefined ? [] : ['workload = {workload:String}']),
  ];
  return conditions.join(' AND ') || '1';
}

function namesOf({ node, workload }: Place): Record<string, string> {
  return { ...(node === undefined ? {} : { node }), ...(workload === undefined ? {} : { workload }) };
}
