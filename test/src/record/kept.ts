/** Makes a recording of what the probe saw: the scenario's own processes, and nothing of the machine it ran on. */
import { release } from 'node:os';
import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { EVENTS, type EventName } from '@bintrail/schemas/events.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { type AnyRow, rowsOf } from '@bintrail/standalone/replay-recording.ts';

export const SAMPLE_NODE = 'sample-host';
/** The player puts a fresh one in its place. */
const SAMPLE_BOOT = '00000000-0000-4000-8000-000000000000';
const SNAPSHOT = flagBit('snapshot');

export type Sent = { readonly type: EventName; readonly rows: readonly AnyRow[] };

/**
 * Keeps the processes below `rootPids`, which ran before the probe did, and the probe's words about itself. Who started
 * the roots is cut off; sequence numbers and ring counters are those of a probe that saw nothing else.
 */
export function keptMessages(batches: readonly Batch[], rootPids: ReadonlySet<number>): Uint8Array[] {
  // A look at all processes is one of the whole machine, and cut down to the scenario it would never be whole.
  const told = batches.filter(({ type }) => type !== 'alive');
  const all: Sent[] = told.map((batch) => ({ type: batch.type, rows: rowsOf(batch) }));
  const lost = all.flatMap(({ type, rows }) => (type === 'loss' ? rows.filter((row) => row.lost !== 0n) : []));
  if (lost.length > 0)
    throw new Error(`events were lost while recording: ${lost.length} counters say so; record again`);
  const isOfScenario = scenarioFilter(all, rootPids);
  const sent = all
    .map(({ type, rows }) => ({ type, rows: rows.filter((row) => row.pid === undefined || isOfScenario(row)) }))
    .map(withoutForeignContainers)
    .filter(({ rows }) => rows.length > 0);
  renumber(sent);
  for (const row of sent.flatMap(({ rows }) => rows))
    if (!isKeptWriter(row, isOfScenario)) Object.assign(row, NO_WRITER);
  for (const { type, rows } of sent) {
    if (type === 'exec') rows.filter((row) => rootPids.has(Number(row.pid)) && isSnapshot(row)).forEach(cutOff);
    if (type === 'loss') for (const row of rows) recount(row, sent);
    if (type === 'heartbeat') for (const row of rows) row.kernel = release().replace(/-.*/, '');
  }
  const header = { node: SAMPLE_NODE, boot: SAMPLE_BOOT, probeEpoch: batches[0]!.probeEpoch };
  return sent.map(({ type, rows }, batchSeq) => encodeBatch(EVENTS[type], { ...header, batchSeq }, rows as never));
}

/** Of containers those in which something of the scenario ran. */
function withoutForeignContainers({ type, rows }: Sent, _index: number, sent: readonly Sent[]): Sent {
  if (type !== 'container') return { type, rows };
  const own = new Set(sent.flatMap((one) => (one.type === 'exec' ? one.rows : [])).map((row) => row.container_id));
  return { type, rows: rows.filter((row) => own.has(row.container_id!)) };
}

const NO_WRITER = { writer_pid: 0, writer_start_ns: 0n, writer_self_exec_id: 0, written_ns: 0n, writer_path: '' };

/** Rows that say who wrote their file, and whether that was a process of the scenario. */
function isKeptWriter(row: AnyRow, isOfScenario: (row: AnyRow) => boolean): boolean {
  return row.writer_pid === undefined || isOfScenario({ pid: row.writer_pid, start_ns: row.writer_start_ns! });
}

const processKey = (pid: unknown, startNs: unknown) => `${pid}:${startNs}`;
const isSnapshot = (row: AnyRow) => (Number(row.flags) & SNAPSHOT) !== 0;

function scenarioFilter(sent: readonly Sent[], rootPids: ReadonlySet<number>): (row: AnyRow) => boolean {
  const execs = sent.flatMap(({ type, rows }) => (type === 'exec' ? rows : []));
  const kept = new Set<string>();
  for (let before = -1; before < kept.size; ) {
    before = kept.size;
    for (const row of execs) {
      const isRoot = isSnapshot(row) && rootPids.has(Number(row.pid));
      if (isRoot || kept.has(processKey(row.parent_pid, row.parent_start_ns)))
        kept.add(processKey(row.pid, row.start_ns));
    }
  }
  return (row) => kept.has(processKey(row.pid, row.start_ns));
}

function cutOff(row: AnyRow): void {
  Object.assign(row, { parent_pid: 0, parent_start_ns: 0n, parent_self_exec_id: 0, ppid: 1, parent_path: '' });
}

/** Numbers of each CPU and of each stream count from 0 again. */
function renumber(sent: readonly Sent[]): void {
  const numbered = sent.flatMap(({ rows }) => rows).filter((row) => !isSnapshot(row));
  for (const [counter, number] of [
    ['cpu', 'cpu_seq'],
    ['stream', 'seq'],
  ] as const) {
    const rows = numbered.filter((row) => row[number] !== undefined);
    for (const group of Map.groupBy(rows, (row) => row[counter]).values()) {
      group.sort((a, b) => (BigInt(a[number]!) < BigInt(b[number]!) ? -1 : 1));
      for (const [index, row] of group.entries()) row[number] = BigInt(index);
    }
  }
}

function recount(loss: AnyRow, sent: readonly Sent[]): void {
  if (loss.place !== 'ring') return;
  const rows = sent.flatMap(({ type, rows }) => (type === loss.event_type ? rows : []));
  // What a load was made of was numbered on a CPU, which it does not say: the first stands for all. No script is one.
  const seen = rows.filter(
    (row) =>
      (row.cpu ?? 0) === loss.cpu && row.role !== 'script' && !isSnapshot(row) && BigInt(row.ts!) <= BigInt(loss.ts!),
  );
  loss.seen = BigInt(seen.length);
  loss.sent = loss.seen;
}
