import { batchGaps } from '@bintrail/ingest/gaps.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import type { CoverageQuestion, NodeCoverage, WindowCoverage } from '../coverage-answer.ts';
import { sqlTime, TIME_MAX_NS, type Window } from '../time.ts';
import { type GapTotals, gapsByNode, listGaps, NO_GAPS, sumOfGaps } from './gaps.ts';
import { storedCounts } from './stored-counts.ts';

// What a counter of another type loses is no event of the kernel: a descriptor to hash by, a heartbeat.
const IS_EVENT = "event_type IN ('exec', 'exit', 'load')";
const IN_COUNTER = (counter: 'seen' | 'lost') =>
  `max(${counter}) - maxIf(${counter}, minute < toDateTime({since_s:UInt32}, 'UTC'))`;

const NS_PER_MINUTE = 60_000_000_000n;
// Where DateTime ends: later records are kept before it (schemas/migrations).
const LAST_SECOND = 4_294_967_295n;

/** Counters are kept by the minute: the whole minutes that a window reaches into. */
export function wholeMinutes({ sinceNs, untilNs }: Window): Window {
  const minutes = (ns: bigint) => (ns / NS_PER_MINUTE) * NS_PER_MINUTE;
  const endNs = minutes(untilNs + NS_PER_MINUTE - 1n);
  return { sinceNs: minutes(sinceNs), untilNs: endNs > TIME_MAX_NS ? untilNs : endNs };
}

function secondsOf(window: Window): { since_s: number; until_s: number } {
  const { sinceNs, untilNs } = wholeMinutes(window);
  const [since_s, until_s] = [sinceNs, untilNs].map((ns) => {
    const seconds = ns / 1_000_000_000n;
    return Number(seconds < LAST_SECOND ? seconds : LAST_SECOND);
  });
  return { since_s: since_s!, until_s: until_s! };
}

/**
 * How complete the asked window is. Counters are cumulative, so what happened in a window is the highest at its end
 * less the highest before it; they are kept by the minute and per node, never per workload.
 */
export async function windowCoverage(
  store: Store,
  { sinceNs, untilNs, node, workload }: CoverageQuestion,
): Promise<WindowCoverage> {
  const window = secondsOf({ sinceNs, untilNs });
  const onNode = node === undefined ? '' : 'AND node = {node:String}';
  const [gaps, [counted], stored] = await Promise.all([
    gapsByNode(store, window, node).then(sumOfGaps),
    store.query<{ seen: string; lost: string }>(
      `SELECT sumIf(seen_in, place = 'ring' AND ${IS_EVENT}) AS seen, sumIf(lost_in, ${IS_EVENT}) AS lost FROM (
         SELECT event_type, place, ${IN_COUNTER('seen')} AS seen_in, ${IN_COUNTER('lost')} AS lost_in
         FROM coverage WHERE minute < toDateTime({until_s:UInt32}, 'UTC') ${onNode}
         GROUP BY node, boot, probe_epoch, event_type, place, cpu)`,
      { ...window, ...(node === undefined ? {} : { node }) },
    ),
    storedCounts(store, window, { node, workload }),
  ]);
  const { unseen, ...sums } = gaps;
  const [seen, lost] = [Number(counted?.seen ?? 0) + unseen, Number(counted?.lost ?? 0) + gaps.missed];
  return {
    events_seen: seen,
    events_stored: stored.events,
    events_lost: lost,
    ratio: seen === 0 ? null : Math.max(0, 1 - lost / seen),
    digest_ratio: stored.executed === 0 ? null : stored.withDigest / stored.executed,
    gaps: sums,
  };
}

type Counter = { node: string; event_type: string; place: string; seen_in: string; lost_in: string };

/**
 * What each node's probes counted in the whole minutes of a window, by type of event and place; and, as place `gap`, what
 * the census counted while there was none.
 */
async function nodeCounters(
  store: Store,
  window: Window,
  node: string | undefined,
): Promise<{ counters: Counter[]; gaps: Map<string, GapTotals> }> {
  const [counters, gaps] = await Promise.all([
    probeCounters(store, window, node),
    gapsByNode(store, secondsOf(window), node),
  ]);
  const known = [...gaps].filter(([, { missed, unseen }]) => missed > 0 || unseen > 0);
  const inGaps = known.map(([name, { missed, unseen }]) => ({
    ...{ node: name, event_type: 'exec', place: 'gap', seen_in: `${unseen}`, lost_in: `${missed}` },
  }));
  return { counters: [...counters, ...inGaps], gaps };
}

function probeCounters(store: Store, window: Window, node: string | undefined): Promise<Counter[]> {
  return store.query(
    `SELECT node, event_type, place, sum(seen_part) AS seen_in, sum(lost_part) AS lost_in FROM (
       SELECT node, event_type, place, ${IN_COUNTER('seen')} AS seen_part, ${IN_COUNTER('lost')} AS lost_part
       FROM coverage WHERE minute < toDateTime({until_s:UInt32}, 'UTC') AND ${isOn(node)}
       GROUP BY node, boot, probe_epoch, event_type, place, cpu)
     GROUP BY node, event_type, place HAVING seen_in > 0 OR lost_in > 0 ORDER BY node, event_type, place`,
    { ...secondsOf(window), ...(node === undefined ? {} : { node }) },
  );
}

/** Events lost by each node in the whole minutes of a window, its gaps included; nodes that lost none are left out. */
export async function lossByNode(
  store: Store,
  window: Window,
): Promise<{ lost: Map<string, number>; gaps: Map<string, GapTotals> }> {
  const lost = new Map<string, number>();
  const { counters, gaps } = await nodeCounters(store, window, undefined);
  for (const { node, event_type, lost_in } of counters) {
    if (EVENTS_LOST.has(event_type)) lost.set(node, (lost.get(node) ?? 0) + Number(lost_in));
  }
  return { lost, gaps };
}

const EVENTS_LOST: ReadonlySet<string> = new Set(['exec', 'exit', 'load']);

function isOn(node: string | undefined): string {
  return node === undefined ? '1' : 'node = {node:String}';
}

type Stored = { node: string; kind: string; strength: string; reason: string; total: string };

const OF_LOADS = 'sum(1 + toUInt64(repeats))';
// Scripts are told of by the probe: no counter of the kernel knows them.
const STORED_IN = {
  exec: ['exec_events', 'ts', 'digest_strength', 'digest_reason', 'NOT bitTest(flags, 6)', 'count()'],
  exit: ['exit_events', 'ts', "''", "''", '1', 'count()'],
  load: [
    'load_events',
    'ts',
    'digest_strength',
    'digest_reason',
    "role != 'script' AND NOT bitTest(flags, 6)",
    OF_LOADS,
  ],
  script: ['load_events', 'ts', 'digest_strength', 'digest_reason', "role = 'script'", OF_LOADS],
  digest: ['digest_events', 'event_ts', 'digest_strength', 'digest_reason', 'NOT bitTest(flags, 6)', OF_LOADS],
} as const;

// From the events themselves: the roll-ups know neither the strength on a node nor less than an hour.
function storedEvents(store: Store, window: Window, node: string | undefined): Promise<Stored[]> {
  const { sinceNs, untilNs } = wholeMinutes(window);
  const parts = Object.entries(STORED_IN).map(
    ([kind, [table, time, strength, reason, which, total]]) =>
      `SELECT node, '${kind}' AS kind, ${strength} AS strength, ${reason} AS reason, ${total} AS total FROM ${table}
       WHERE ${time} >= {since:DateTime64(9, 'UTC')} AND ${time} < {until:DateTime64(9, 'UTC')} AND ${which}
         AND ${isOn(node)} GROUP BY node, strength, reason`,
  );
  return store.query(parts.join(' UNION ALL '), {
    since: sqlTime(sinceNs),
    until: sqlTime(untilNs),
    ...(node === undefined ? {} : { node }),
  });
}

/** What is known of each node in a window, in the order of their names. Whole minutes throughout. */
export async function nodeCoverage(store: Store, window: Window, node: string | undefined): Promise<NodeCoverage[]> {
  const { sinceNs, untilNs } = wholeMinutes(window);
  const noticed = { sinceMs: Number(sinceNs / 1_000_000n), untilMs: Number(untilNs / 1_000_000n) };
  const [{ counters, gaps }, stored, holes, newest] = await Promise.all([
    nodeCounters(store, window, node),
    storedEvents(store, window, node),
    batchGaps(store, noticed),
    listGaps(store, secondsOf(window), node),
  ]);
  const itsHoles = holes.filter((gap) => node === undefined || gap.node === node);
  const names = new Set([...[...counters, ...stored, ...itsHoles].map((row) => row.node), ...gaps.keys()]);
  return [...names].sort().map((name) => {
    const own = <Row extends { readonly node: string }>(rows: readonly Row[]) =>
      rows.filter((row) => row.node === name);
    const { unseen: _, ...sums } = gaps.get(name) ?? NO_GAPS;
    const itsGaps = { ...sums, newest: newest.get(name) ?? [] };
    return { ...ofNode(name, own(counters), own(stored), own(itsHoles)), gaps: itsGaps };
  });
}

function ofNode(
  node: string,
  counters: readonly Counter[],
  stored: readonly Stored[],
  holes: readonly { readonly missing: number }[],
): Omit<NodeCoverage, 'gaps'> {
  const types = new Set([...counters.map((row) => row.event_type), ...stored.map((row) => row.kind)]);
  const events = [...types].sort().map((type) => {
    const places = counters
      .filter((row) => row.event_type === type)
      .map(({ place, seen_in, lost_in }) => ({ place, seen: Number(seen_in), lost: Number(lost_in) }));
    return {
      type,
      seen: sum(places.map(({ place, seen }) => (place === 'ring' || place === 'gap' ? seen : 0))),
      stored: sum(stored.map(({ kind, total }) => (kind === type ? Number(total) : 0))),
      lost: sum(places.map(({ lost }) => lost)),
      places,
    };
  });
  const kernel = events.filter(({ type }) => EVENTS_LOST.has(type));
  const [seen, lost] = [sum(kernel.map((each) => each.seen)), sum(kernel.map((each) => each.lost))];
  return {
    node,
    seen,
    stored: sum(kernel.map((each) => each.stored)),
    lost,
    ratio: seen === 0 ? null : Math.max(0, 1 - lost / seen),
    events,
    digests: digestsOf(stored),
    batch_gaps: { gaps: holes.length, messages: sum(holes.map(({ missing }) => missing)) },
  };
}

// A digest that came late takes the place of one that was pending.
function digestsOf(rows: readonly Stored[]): NodeCoverage['digests'] {
  const [strengths, missing] = [new Map<string, number>(), new Map<string, number>()];
  const add = (counts: Map<string, number>, name: string, n: number) => counts.set(name, (counts.get(name) ?? 0) + n);
  for (const { kind, strength, reason, total } of rows) {
    if (kind === 'exit') continue;
    if (kind === 'digest') add(missing, 'pending', -Number(total));
    if (reason === '') add(strengths, strength, Number(total));
    else add(missing, reason, Number(total));
  }
  const counts = (map: Map<string, number>) => Object.fromEntries([...map].filter(([, n]) => n > 0).sort());
  const found = { strengths: counts(strengths), missing: counts(missing) };
  const known = sum(Object.values(found.strengths));
  const all = known + sum(Object.values(found.missing));
  return { ratio: all === 0 ? null : known / all, ...found };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
