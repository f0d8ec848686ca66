/** Raw events, newest first, out of their tables in one order. */
import type { Parameter, Store } from '@bintrail/runtime/store.ts';
import type { ExecId } from '@bintrail/schemas/exec-id.ts';
import { EVENT_TYPES, type Event, type EventType } from '../event-answer.ts';
import { sqlTime, type Window } from '../time.ts';
import { type EventKey, type EventRow, keyColumns, SOURCES, selectEvents } from './event-rows.ts';
import { firstSights } from './first-sights.ts';
import { isLike, isText, textParams } from './scope.ts';

export type EventFilters = {
  readonly types?: readonly EventType[] | undefined;
  /** Lower-case hex. */
  readonly sha256?: string | undefined;
  readonly workload?: string | undefined;
  readonly node?: string | undefined;
  /** The full id, or a prefix that ends in `*`. */
  readonly containerId?: string | undefined;
  readonly execId?: ExecId | undefined;
  readonly pid?: number | undefined;
  readonly uid?: number | undefined;
  /** Exact, or a prefix that ends in `*`. */
  readonly path?: string | undefined;
  /** Bits that must all be set. */
  readonly flags?: number | undefined;
};

type Condition = { readonly sql: string; readonly params: Readonly<Record<string, Parameter>> };

const IMAGE = 'node, boot, pid, start_ns, self_exec_id, path';
const NO_DIGEST = '0'.repeat(64);

/** The filters on a table of events; undefined where events of this type have no such column and none can pass. */
export function eventCondition(type: EventType, filters: EventFilters): Condition | undefined {
  const { types, sha256, workload, node, containerId, execId, pid, uid, path, flags } = filters;
  if (types !== undefined && !types.includes(type)) return undefined;
  if (type === 'exit' && [sha256, uid, path, flags].some((filter) => filter !== undefined)) return undefined;
  if (sha256 === NO_DIGEST || (type === 'file' && sha256 !== undefined)) return undefined;
  const parts: Condition[] = [];
  const add = (sql: string, params: Condition['params']) => parts.push({ sql, params });
  if (sha256 !== undefined) add(hasDigest(type), { sha256 });
  if (workload !== undefined) add(isText('workload'), textParams('workload', workload));
  if (node !== undefined) add('node = {node:String}', { node });
  if (containerId !== undefined) {
    add(isLike('container_id', containerId), textParams('container_id', containerId.replace(/\*$/, '')));
  }
  if (execId !== undefined) {
    add('boot = {boot:String} AND pid = {id_pid:UInt32} AND start_ns = {start_ns:UInt64}', {
      boot: execId.boot,
      id_pid: execId.pid,
      start_ns: execId.startNs,
    });
    add('self_exec_id = {self_exec_id:UInt32}', { self_exec_id: execId.selfExecId });
  }
  if (pid !== undefined) add('pid = {pid:UInt32}', { pid });
  if (uid !== undefined) add('uid = {uid:UInt32}', { uid });
  if (path !== undefined) add(isLike('path', path), textParams('path', path.replace(/\*$/, '')));
  if (flags !== undefined) add('bitAnd(flags, {flags:UInt32}) = {flags:UInt32}', { flags });
  return {
    sql: parts.map(({ sql }) => sql).join(' AND ') || '1',
    params: Object.assign({}, ...parts.map(({ params }) => params)),
  };
}

// One whose digest came late has it in digest_events. It is found by what tables of events are in the order of, and
// none but those two digests are looked for at all: the rest of a window is not read.
function hasDigest(type: EventType): string {
  const isIt = 'sha256 = toFixedString(unhex({sha256:String}), 32)';
  if (type === 'digest') return isIt;
  const [columns, role] = type === 'load' ? [`${IMAGE}, role`, '1'] : [IMAGE, "role = 'exec'"];
  const late = (wanted: string) => `SELECT ${wanted} FROM digest_events WHERE ${isIt} AND ${role}`;
  const absent = "toFixedString('', 32)";
  return `sha256 IN (toFixedString(unhex({sha256:String}), 32), ${absent}) AND (${isIt} OR (
    sha256 = ${absent} AND digest_reason = 'pending'
    AND workload IN (${late('workload')}) AND (${columns}) IN (${late(columns)})))`;
}

/** Where a page ends. */
export type EventsKey = readonly [tsNs: string, node: string, lane: number, seq: string, pid: number, type: EventType];

export type EventsQuestion = {
  readonly filters: EventFilters;
  readonly window: Window;
  readonly after: EventsKey | undefined;
  readonly limit: number;
};

/** A page. `next` is the key of its last event; undefined at the end. */
export async function listEvents(
  store: Store,
  { filters, window, after, limit }: EventsQuestion,
): Promise<{ readonly events: Event[]; readonly next: EventsKey | undefined }> {
  const lists = await Promise.all(
    EVENT_TYPES.map(async (type) => {
      const condition = eventCondition(type, filters);
      return condition === undefined ? [] : readNewest(store, type, condition, window, after, limit + 1);
    }),
  );
  const rows = lists.flat().sort((a, b) => newestFirst(keyOf(a), keyOf(b)));
  const page = rows.slice(0, limit);
  return { events: page.map(({ event }) => event), next: rows.length > limit ? keyOf(page.at(-1)!) : undefined };
}

// The time of the last row first, then all columns: an event is wide, most of a window is not shown, and a time says
// which granules to read where other parts of the key do not. Rows of that same time may be more than are shown.
async function readNewest(
  store: Store,
  type: EventType,
  { sql, params }: Condition,
  window: Window,
  after: EventsKey | undefined,
  limit: number,
): Promise<EventRow[]> {
  const key = keyColumns(type);
  const order = `ORDER BY ${key.map((column) => `${column} DESC`).join(', ')}`;
  const isNext = `(${key.join(', ')}, '${type}') < (fromUnixTimestamp64Nano({after_ns:Int64}), {after_node:String},
    {after_lane:UInt32}, {after_seq:UInt64}, {after_pid:UInt32}, {after_type:String})`;
  const asked = `ts >= {since:DateTime64(9, 'UTC')} AND ts < {until:DateTime64(9, 'UTC')} AND ${sql}`;
  const inWindow = { ...params, since: sqlTime(window.sinceNs), until: sqlTime(window.untilNs) };
  const isFirst = type === 'exec' || type === 'load' ? await firstSights(store, type, asked, inWindow) : '1';
  const where = `WHERE ${asked} AND ${isFirst} ${after === undefined ? '' : `AND ${isNext}`}`;
  const [after_ns = '0', after_node = '', after_lane = 0, after_seq = '0', after_pid = 0, after_type = ''] =
    after ?? [];
  return selectEvents(
    store,
    type,
    `${where} AND ts >= (
       SELECT min(ts) FROM (SELECT ts FROM ${SOURCES[type].table} ${where} ORDER BY ts DESC LIMIT {limit:UInt32}))
     ${order} LIMIT {limit:UInt32}`,
    {
      ...inWindow,
      limit,
      ...(after === undefined ? {} : { after_ns, after_node, after_lane, after_seq, after_pid, after_type }),
    },
  );
}

function keyOf({ key, event }: EventRow): EventsKey {
  const { tsNs, node, lane, seq, pid }: EventKey = key;
  return [tsNs, node, lane, seq, pid, event.type];
}

function newestFirst(a: EventsKey, b: EventsKey): number {
  return (
    compare(BigInt(b[0]), BigInt(a[0])) ||
    Buffer.compare(Buffer.from(b[1]), Buffer.from(a[1])) ||
    b[2] - a[2] ||
    compare(BigInt(b[3]), BigInt(a[3])) ||
    b[4] - a[4] ||
    compare(b[5], a[5])
  );
}

function compare<T extends bigint | string>(a: T, b: T): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
