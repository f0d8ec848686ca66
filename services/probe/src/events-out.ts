/** Gathers rows into columnar messages and hands them to the bus, in order. */
import type { Message } from '@bintrail/runtime/bus.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import { addRow, type BatchColumns, clearColumns, openColumns } from '@bintrail/schemas/batch-columns.ts';
import { encodeColumns } from '@bintrail/schemas/batch-encode.ts';
import { EVENTS, type EventName } from '@bintrail/schemas/events.ts';
import type { RowOf } from '@bintrail/schemas/field.ts';
import { createOrphans } from './orphans.ts';

export type Row<N extends EventName> = RowOf<(typeof EVENTS)[N]>;

export type EventsOut = {
  readonly add: <N extends EventName>(name: N, row: Row<N>) => void;
  /** Where rows are gathered, for who writes them there himself, one at a time, each followed by `added`. */
  readonly columns: (name: EventName) => BatchColumns;
  readonly added: (name: EventName) => void;
  /** Hands over what is gathered; resolves when the bus has it all. */
  readonly flush: () => Promise<void>;
  /** Messages the bus has not taken yet. */
  readonly depth: () => number;
  /** Rows dropped because the bus was away for longer than the buffer lasts, by event. */
  readonly dropped: () => ReadonlyMap<EventName, bigint>;
  readonly close: () => Promise<void>;
};

export type EventsOutOptions = {
  readonly node: string;
  readonly boot: string;
  readonly probeEpoch: bigint;
  /** Takes all or, when it throws Transient, any of them once more. One call at a time. */
  readonly publish: (messages: readonly Message[]) => Promise<void>;
  /** What may wait in memory while the bus is away; beyond it the newest rows are dropped, and counted. Default 64 MiB. */
  readonly maxWaitingBytes?: number | undefined;
  readonly onFatal: (error: unknown) => void;
  readonly onRetry: (error: Transient) => void;
};

const FLUSH_ROWS = 1_024;
const FLUSH_AFTER_MS = 500;
const SPLIT_BYTES = 512 * 1024;
const RETRY_MS = 500;
export const MAX_WAITING_BYTES = 64 * 1024 * 1024;

type Waiting = { readonly name: EventName; readonly rows: number; readonly value: Uint8Array };

export function createEventsOut(options: EventsOutOptions): EventsOut {
  const { maxWaitingBytes = MAX_WAITING_BYTES } = options;
  const gathered = new Map<EventName, BatchColumns>();
  const queue: Waiting[] = [];
  const dropped = new Map<EventName, bigint>();
  const orphans = createOrphans();
  let waitingBytes = 0;
  let batchSeq = 0;
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> | undefined;
  let closing = false;

  const send = async () => {
    while (queue.length > 0) {
      const values = firstOf(queue);
      const sent = await trySend(options, values);
      if (!sent && closing) return;
      if (!sent) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      else {
        for (const { length } of values) waitingBytes -= length;
        queue.splice(0, values.length);
      }
    }
  };
  const drop = (name: EventName, rows: number) => dropped.set(name, (dropped.get(name) ?? 0n) + BigInt(rows));
  const enqueue = (name: EventName, columns: BatchColumns, from: number, to: number) => {
    const header = { node: options.node, boot: options.boot, probeEpoch: options.probeEpoch, batchSeq };
    const value = encodeColumns(columns, header, from, to);
    if (value.length > SPLIT_BYTES && to - from > 1) {
      const half = (from + to) >> 1;
      enqueue(name, columns, from, half);
      enqueue(name, columns, half, to);
    } else if (waitingBytes + value.length > maxWaitingBytes) {
      drop(name, to - from);
      orphans.note(value);
    } else {
      batchSeq += 1;
      waitingBytes += value.length;
      queue.push({ name, rows: to - from, value });
    }
  };
  const flushAll = (name: EventName) => {
    const columns = gathered.get(name);
    if (columns === undefined || columns.rows === 0) return;
    enqueue(name, columns, 0, columns.rows);
    clearColumns(columns);
  };
  /** After all others: only then is it known which of their rows were dropped. */
  const flushDigests = () => {
    const columns = gathered.get('digest');
    if (columns === undefined || columns.rows === 0) return;
    const ranges = orphans.kept(columns);
    const kept = ranges.reduce((rows, [from, to]) => rows + to - from, 0);
    if (kept < columns.rows) drop('digest', columns.rows - kept);
    for (const [from, to] of ranges) enqueue('digest', columns, from, to);
    clearColumns(columns);
  };
  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    // First, so that whoever judges what ran in a container has its name by then.
    flushAll('container');
    for (const name of gathered.keys()) if (name !== 'digest') flushAll(name);
    flushDigests();
    sending ??= send()
      .catch(options.onFatal)
      .finally(() => {
        sending = undefined;
      });
    return sending;
  };
  const columnsOf = (name: EventName): BatchColumns => {
    const open = gathered.get(name) ?? openColumns(EVENTS[name], FLUSH_ROWS);
    gathered.set(name, open);
    return open;
  };
  const added = (name: EventName) => {
    if (columnsOf(name).rows >= FLUSH_ROWS) flush();
    else timer ??= setTimeout(flush, FLUSH_AFTER_MS);
  };
  const add = <N extends EventName>(name: N, row: Row<N>) => {
    addRow(columnsOf(name), row as never);
    added(name);
  };
  const close = async () => {
    // From here on each message is tried once more, then left: a bus that is away must not keep the probe from ending.
    closing = true;
    await flush();
  };
  return { add, columns: columnsOf, added, flush, depth: () => queue.length, dropped: () => dropped, close };
}

/** What goes at once: a message costs the bus little, and a commit to its disk much. */
function firstOf(queue: readonly Waiting[]): Uint8Array[] {
  let [count, sizeBytes] = [0, 0];
  for (const { value } of queue) {
    sizeBytes += value.length;
    if (count > 0 && sizeBytes > SPLIT_BYTES) break;
    count += 1;
  }
  return queue.slice(0, count).map(({ value }) => value);
}

async function trySend({ node, publish, onRetry }: EventsOutOptions, values: readonly Uint8Array[]): Promise<boolean> {
  try {
    await publish(values.map((value) => ({ key: node, value })));
    return true;
  } catch (error) {
    if (!(error instanceof Transient)) throw error;
    onRetry(error);
    return false;
  }
}
