/** What arrives in the store, in the order of arrival, from a position on: may repeat after a resume, never skips. */
import type { Parameter, Store } from '@bintrail/runtime/store.ts';
import { EVENT_TYPES, type Event, type EventType } from '../event-answer.ts';
import { answerOf, type FindingAnswer } from '../findings/answer.ts';
import { type Judging, readFindings } from '../findings/read.ts';
import { type EventRow, keyColumns, SOURCES, selectEvents } from './event-rows.ts';
import { eventCondition } from './events.ts';

export const STREAM_TYPES = [...EVENT_TYPES, 'finding'] as const;
type StreamType = (typeof STREAM_TYPES)[number];

/** Times of ingest, milliseconds since the epoch: everything up to them was sent, less the overlap. */
export type Position = { readonly eventsMs: number; readonly findingsMs: number };

export type Arrival = { readonly position: Position } & (
  | { readonly name: 'event'; readonly data: Event }
  | { readonly name: 'finding'; readonly data: FindingAnswer }
);

export type StreamFilters = {
  readonly types?: readonly StreamType[] | undefined;
  readonly sha256?: string | undefined;
  readonly workload?: string | undefined;
  readonly node?: string | undefined;
};

export type Follower = {
  position(): Position;
  /** More is known to be there than the last poll read. */
  isBehind(): boolean;
  /** What came since the last call. When it throws, the next call takes up where this one ended. */
  poll(): AsyncGenerator<Arrival>;
};

/**
 * A plan has one time of ingest, taken before its rows are stored: with several writers, rows may show up that much
 * later than rows of a later time. One writer never has two plans under way, whatever an insert takes.
 */
const OVERLAP_MS = 30_000;
/** Plans read in one poll, and rows in one query. */
const MAX_PLANS = 200;
const MAX_ROWS = 500;
const FINDINGS_AT_ONCE = 100;
/** Until something was stored at all. */
const HOUR_MS = 3_600_000;

type Sent = Map<number, Set<string>>;
type Found = { readonly type: StreamType; readonly ms: number; readonly id: string } & (
  | { readonly name: 'event'; readonly data: Event }
  | { readonly name: 'finding'; readonly data: FindingAnswer }
);
type Range = { readonly fromMs: number; readonly toMs: number };
type Context = { readonly store: Store; readonly filters: StreamFilters; readonly judging: () => Judging };

/** Follows from a position, or else from now: then what is there already is taken for sent. */
export async function follow(context: Context, from: Position | undefined, nowMs: number): Promise<Follower> {
  const sent = new Map<StreamType, Sent>(STREAM_TYPES.map((type) => [type, new Map()]));
  const newest = async () => ({
    eventsMs: (await lastStop(context.store, 'batches')) || nowMs - HOUR_MS,
    findingsMs: (await lastStop(context.store, 'finding_evidence')) || nowMs - HOUR_MS,
  });
  let position = from ?? (await newest());
  let behind = false;
  const isSent = ({ type, ms, id }: Pick<Found, 'type' | 'ms' | 'id'>) => sent.get(type)?.get(ms)?.has(id) ?? false;
  const mark = ({ type, ms, id }: Found) => {
    const plans = sent.get(type)!;
    plans.set(ms, (plans.get(ms) ?? new Set()).add(id));
  };
  if (from === undefined) for await (const found of arrivals(context, position, position, sent)) mark(found);

  async function* poll(): AsyncGenerator<Arrival> {
    const [events, findings] = await Promise.all([
      nextStop(context.store, 'batches', position.eventsMs),
      nextStop(context.store, 'finding_evidence', position.findingsMs),
    ]);
    const next = { eventsMs: events.ms, findingsMs: findings.ms };
    // The last one carries the new position; what is not handed over yet does not count as sent.
    let held: Found | undefined;
    for await (const found of arrivals(context, position, next, sent)) {
      if (isSent(found)) continue;
      if (held !== undefined) {
        mark(held);
        yield { ...held, position };
      }
      held = found;
    }
    position = next;
    behind = events.isCut || findings.isCut;
    if (held !== undefined) {
      mark(held);
      yield { ...held, position };
    }
    forget(sent, position);
  }
  return { position: () => position, isBehind: () => behind, poll };
}

function forget(sent: ReadonlyMap<StreamType, Sent>, { eventsMs, findingsMs }: Position): void {
  for (const [type, plans] of sent) {
    const endMs = (type === 'finding' ? findingsMs : eventsMs) - OVERLAP_MS;
    for (const ms of plans.keys()) if (ms < endMs) plans.delete(ms);
  }
}

// The rows of `batches` come last of a plan: what has one there is there altogether.
type StopTable = 'batches' | 'finding_evidence';

async function lastStop(store: Store, table: StopTable): Promise<number> {
  const [row] = await store.query<{ ms: string }>(
    `SELECT toUnixTimestamp64Milli(max(ingested_at)) AS ms FROM ${table}`,
  );
  return Number(row?.ms ?? 0);
}

async function nextStop(store: Store, table: StopTable, afterMs: number): Promise<{ ms: number; isCut: boolean }> {
  const [row] = await store.query<{ ms: string; plans: string }>(
    `SELECT toUnixTimestamp64Milli(max(at)) AS ms, count() AS plans FROM (
       SELECT DISTINCT ingested_at AS at FROM ${table}
       WHERE ingested_at > fromUnixTimestamp64Milli({after:Int64}, 'UTC') ORDER BY at LIMIT ${MAX_PLANS})`,
    { after: afterMs },
  );
  const plans = Number(row?.plans ?? 0);
  return plans === 0 ? { ms: afterMs, isCut: false } : { ms: Number(row!.ms), isCut: plans === MAX_PLANS };
}

async function* arrivals(
  context: Context,
  since: Position,
  until: Position,
  sent: ReadonlyMap<StreamType, Sent>,
): AsyncGenerator<Found> {
  const back = (ms: number) => Math.max(0, ms - OVERLAP_MS);
  for (const type of EVENT_TYPES) {
    yield* eventsIn(context, type, { fromMs: back(since.eventsMs), toMs: until.eventsMs }, sent.get(type)!);
  }
  yield* findingsIn(context, { fromMs: back(since.findingsMs), toMs: until.findingsMs }, sent.get('finding')!);
}

const IN_RANGE = `ingested_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')
  AND ingested_at <= fromUnixTimestamp64Milli({to:Int64}, 'UTC')`;

/** Reads only plans of which not everything was sent: the overlap is looked at every second. */
async function* eventsIn(
  { store, filters }: Context,
  type: EventType,
  { fromMs, toMs }: Range,
  sent: Sent,
): AsyncGenerator<Found> {
  const types = filters.types?.filter((one) => one !== 'finding');
  const condition = eventCondition(type, { ...filters, types });
  if (condition === undefined) return;
  const where = `${IN_RANGE} AND ${condition.sql}`;
  const plans = await store.query<{ ms: string; total: string }>(
    `SELECT toUnixTimestamp64Milli(ingested_at) AS ms, count() AS total FROM ${SOURCES[type].table}
     WHERE ${where} GROUP BY ms ORDER BY ms`,
    { ...condition.params, from: fromMs, to: toMs },
  );
  const news = plans
    .filter(({ ms, total }) => sent.get(Number(ms))?.size !== Number(total))
    .map(({ ms }) => Number(ms));
  if (news.length === 0) return;
  const key = ['ingested_at', ...keyColumns(type)].join(', ');
  let last: EventRow | undefined;
  do {
    const isNext = `(${key}) > (fromUnixTimestamp64Milli({after_ms:Int64}, 'UTC'), fromUnixTimestamp64Nano({after_ns:Int64}),
      {after_node:String}, {after_lane:UInt32}, {after_seq:UInt64}, {after_pid:UInt32})`;
    const rows = await selectEvents(
      store,
      type,
      `WHERE ${where} AND toUnixTimestamp64Milli(ingested_at) IN {plans:Array(Int64)}
         ${last === undefined ? '' : `AND ${isNext}`} ORDER BY ${key} LIMIT ${MAX_ROWS}`,
      {
        ...condition.params,
        ...{ from: news[0]!, to: news.at(-1)!, plans: news },
        ...(last === undefined ? {} : afterParams(last)),
      },
    );
    for (const { event, ingestedMs } of rows) {
      yield { type, ms: ingestedMs, id: event.event_id, name: 'event', data: event };
    }
    last = rows.length === MAX_ROWS ? rows.at(-1) : undefined;
  } while (last !== undefined);
}

function afterParams({ key, ingestedMs }: EventRow): Record<string, Parameter> {
  return {
    after_ms: ingestedMs,
    after_ns: key.tsNs,
    after_node: key.node,
    after_lane: key.lane,
    after_seq: key.seq,
    after_pid: key.pid,
  };
}

async function* findingsIn(
  { store, filters, judging }: Context,
  { fromMs, toMs }: Range,
  sent: Sent,
): AsyncGenerator<Found> {
  const { types, workload, node, sha256 } = filters;
  if (types !== undefined && !types.includes('finding')) return;
  const conditions = [
    IN_RANGE,
    ...(workload === undefined ? [] : ['workload = {workload:String}']),
    ...(node === undefined ? [] : ['node = {node:String}']),
    ...(sha256 === undefined ? [] : ['sha256 = toFixedString(unhex({sha256:String}), 32)']),
  ];
  const rows = await store.query<{ id: string; ms: string }>(
    `SELECT DISTINCT lower(hex(finding_id)) AS id, toUnixTimestamp64Milli(ingested_at) AS ms FROM finding_evidence
     WHERE ${conditions.join(' AND ')} ORDER BY ms, id`,
    {
      ...{ from: fromMs, to: toMs },
      ...(workload === undefined ? {} : { workload }),
      ...(node === undefined ? {} : { node }),
      ...(sha256 === undefined ? {} : { sha256 }),
    },
  );
  const news = rows.filter(({ id, ms }) => !sent.get(Number(ms))?.has(id));
  for (let at = 0; at < news.length; at += FINDINGS_AT_ONCE) {
    const chunk = news.slice(at, at + FINDINGS_AT_ONCE);
    const findings = await readFindings(
      store,
      chunk.map(({ id }) => id),
      judging(),
    );
    const byId = new Map(findings.map((finding) => [finding.first.id, finding]));
    for (const { id, ms } of chunk) {
      const finding = byId.get(id);
      if (finding !== undefined)
        yield { type: 'finding', ms: Number(ms), id, name: 'finding', data: answerOf(finding) };
    }
  }
}
