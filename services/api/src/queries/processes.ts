/** One program image of one process, and the images around it. */

import type { Parameter, Store } from '@bintrail/runtime/store.ts';
import { type ExecId, parseExecId } from '@bintrail/schemas/exec-id.ts';
import type { Event } from '../event-answer.ts';
import { parseTime } from '../time.ts';
import { readLife } from './alive.ts';
import { selectEvents } from './event-rows.ts';

export const MAX_ANCESTORS = 64;
export const MAX_CHILDREN = 200;
const MAX_LOADS = 100;

export type Process = {
  readonly exec: Event;
  /** Nearest first. */
  readonly ancestors: readonly Event[];
  readonly isRootKnown: boolean;
  readonly children: readonly Event[];
  readonly truncated: boolean;
  readonly replaced: Event | null;
  readonly replacedBy: Event | null;
  readonly loads: readonly Event[];
  readonly exit: Event | null;
  readonly running: boolean | null;
  /** When its node last looked at all processes. */
  readonly as_of: string | null;
};

type Scope = {
  readonly store: Store;
  readonly node: string;
  readonly params: Readonly<Record<string, Parameter>>;
};

// A boot is of one node; what it did was stored since its first message, which leaves most partitions unread.
const IN_BOOT =
  "node = {node:String} AND boot = {boot:String} AND ingested_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')";
const IMAGE = 'pid, start_ns, self_exec_id';
const IS_IMAGE = `(${IMAGE}) = ({pid:UInt32}, {start_ns:UInt64}, {self_exec_id:UInt32})`;

/** Undefined when no event tells of this image. */
export async function readProcess(store: Store, id: ExecId, nowMs: number): Promise<Process | undefined> {
  for (const scope of await scopesOf(store, id.boot)) {
    const [exec] = await readImages(scope, IS_IMAGE, imageParams(id), 1);
    if (exec === undefined) continue;
    const sinceNs = parseTime(exec.ts, nowMs) ?? 0n;
    const [lineage, children, around, loads, exit, life] = await Promise.all([
      readAncestors(scope, exec),
      readChildren(scope, id),
      readSiblings(scope, id),
      readLoads(scope, id),
      readExit(scope, id),
      readLife(store, scope.node, id, sinceNs, nowMs),
    ]);
    const isOver = exit !== null || around.replacedBy !== null;
    // The end of a process is the end of its last image only.
    return {
      exec,
      ...lineage,
      ...children,
      ...around,
      loads,
      exit: exit?.exec_id === exec.exec_id ? exit : null,
      running: isOver ? false : (life.isAlive ?? null),
      as_of: life.asOf,
    };
  }
  return undefined;
}

async function scopesOf(store: Store, boot: string): Promise<Scope[]> {
  const rows = await store.query<{ node: string; since_ms: string }>(
    `SELECT node, toUnixTimestamp64Milli(min(ingested_at)) AS since_ms
     FROM batches WHERE (node, boot) IN (SELECT node, boot FROM probe_runs WHERE boot = {boot:String}) GROUP BY node`,
    { boot },
  );
  return rows.map(({ node, since_ms }) => ({ store, node, params: { node, boot, since_ms } }));
}

function imageParams({ pid, startNs, selfExecId }: ExecId): Record<string, Parameter> {
  return { pid, start_ns: startNs, self_exec_id: selfExecId };
}

// One row of each image: processes found at each start of a probe are told of again, and worse than by their exec.
async function readImages(
  { store, params }: Scope,
  which: string,
  asked: Readonly<Record<string, Parameter>>,
  limit: number,
): Promise<Event[]> {
  const where = `${IN_BOOT} AND ${which}`;
  const rows = await selectEvents(
    store,
    'exec',
    `WHERE ${where} AND (${IMAGE}) IN (
       SELECT DISTINCT ${IMAGE} FROM exec_events WHERE ${where} ORDER BY start_ns, pid, self_exec_id LIMIT {limit:UInt32})
     ORDER BY start_ns, pid, self_exec_id, bitTest(flags, 6), ts LIMIT 1 BY ${IMAGE}`,
    { ...params, ...asked, limit },
  );
  return rows.map(({ event }) => event);
}

async function readAncestors(scope: Scope, exec: Event): Promise<{ ancestors: Event[]; isRootKnown: boolean }> {
  const ancestors: Event[] = [];
  const seen = new Set([exec.exec_id]);
  let at: Event | undefined = exec;
  while (at.parent_exec_id !== null) {
    const id = parseExecId(at.parent_exec_id);
    // Records that contradict each other must not lead round in circles.
    if (id === undefined || ancestors.length === MAX_ANCESTORS || seen.has(at.parent_exec_id)) break;
    seen.add(at.parent_exec_id);
    const [parent]: Event[] = await readImages(scope, IS_IMAGE, imageParams(id), 1);
    if (parent === undefined) break;
    ancestors.push(parent);
    at = parent;
  }
  return { ancestors, isRootKnown: at.parent_exec_id === null };
}

async function readChildren(scope: Scope, id: ExecId): Promise<{ children: Event[]; truncated: boolean }> {
  const isChild = `(parent_pid, parent_start_ns, parent_self_exec_id)
    = ({pid:UInt32}, {start_ns:UInt64}, {self_exec_id:UInt32})`;
  const children = await readImages(scope, isChild, imageParams(id), MAX_CHILDREN + 1);
  return { children: children.slice(0, MAX_CHILDREN), truncated: children.length > MAX_CHILDREN };
}

async function readSiblings(scope: Scope, id: ExecId): Promise<{ replaced: Event | null; replacedBy: Event | null }> {
  const ofProcess = `${IN_BOOT} AND pid = {pid:UInt32} AND start_ns = {start_ns:UInt64}`;
  const nearest = (choice: 'min' | 'max', side: '<' | '>') =>
    `SELECT ${choice}(self_exec_id) FROM exec_events
     WHERE ${ofProcess} AND self_exec_id ${side} {self_exec_id:UInt32} HAVING count() > 0`;
  const image = async (wanted: string) => {
    const which = `pid = {pid:UInt32} AND start_ns = {start_ns:UInt64} AND self_exec_id IN (${wanted})`;
    const [event] = await readImages(scope, which, imageParams(id), 1);
    return event ?? null;
  };
  const [replaced, replacedBy] = await Promise.all([image(nearest('max', '<')), image(nearest('min', '>'))]);
  return { replaced, replacedBy };
}

async function readLoads({ store, params }: Scope, id: ExecId): Promise<Event[]> {
  const tail = `WHERE ${IN_BOOT} AND ${IS_IMAGE} ORDER BY ts, stream, seq LIMIT ${MAX_LOADS}`;
  const rows = await selectEvents(store, 'load', tail, { ...params, ...imageParams(id) });
  return rows.map(({ event }) => event);
}

async function readExit({ store, params }: Scope, id: ExecId): Promise<Event | null> {
  const tail = `WHERE ${IN_BOOT} AND pid = {pid:UInt32} AND start_ns = {start_ns:UInt64} ORDER BY ts LIMIT 1`;
  const [row] = await selectEvents(store, 'exit', tail, { ...params, ...imageParams(id) });
  return row?.event ?? null;
}
