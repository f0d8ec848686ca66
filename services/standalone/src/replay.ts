/**
 * Plays a recording into the bus in place of a probe. It is no host's news, and says so wherever a node is named: the
 * node is `replay:<recorded name>`, and heartbeats carry the mode `replay`.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Message } from '@bintrail/runtime/bus.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import { type BatchHeader, encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { type AnyRow, rowsOf } from './replay-recording.ts';

export const REPLAY_NODE_PREFIX = 'replay:';

export type Playback = {
  readonly recording: readonly Batch[];
  /** Takes one message for `bintrail.events`; Transient is tried again. */
  readonly publish: (message: Message) => Promise<void>;
  /** How long the playing takes at most; a shorter recording plays in its own time. */
  readonly playMs: number;
  /** After the end a sign of life goes out this often, so that the node does not look broken. */
  readonly heartbeatEveryMs: number;
  readonly clock: () => number;
};

export type Replay = {
  /** Resolves with the number of rows once all of them are on the bus; never, when closed before. */
  readonly played: Promise<number>;
  /** Resolves after `close`; rejects on a bug. */
  readonly done: Promise<void>;
  close(): Promise<void>;
};

/** A message as it is to be sent: its place in the run, and its rows with the times of this replay. */
type Part = { readonly type: Batch['type']; readonly rows: readonly AnyRow[]; readonly dueMs: number };

/** Starts playing. Each call is another run of the probe on another boot: nothing of it repeats an earlier one. */
export function startReplay(playback: Playback): Replay {
  const { recording, publish, clock, heartbeatEveryMs } = playback;
  const startMs = clock();
  const parts = planReplay(recording, startMs, playback.playMs);
  const node = `${REPLAY_NODE_PREFIX}${recording[0]!.node}`;
  const run = { node, boot: randomUUID(), probeEpoch: BigInt(startMs) };
  const closing = new AbortController();
  const { signal } = closing;
  const played = Promise.withResolvers<number>();
  let batchSeq = 0;

  const send = async ({ type, rows }: Pick<Part, 'type' | 'rows'>) => {
    const header: BatchHeader = { ...run, batchSeq: batchSeq++ };
    await untilTaken(publish, { key: node, value: encodeBatch(EVENTS[type], header, rows as never) }, signal);
  };
  const play = async () => {
    for (const part of parts) {
      await delay(Math.max(0, startMs + part.dueMs - clock()), undefined, { signal });
      await send(part);
    }
    played.resolve(parts.reduce((sum, { rows }) => sum + rows.length, 0));
    let last = parts.findLast(({ type }) => type === 'heartbeat')?.rows.at(-1);
    while (last !== undefined) {
      await delay(heartbeatEveryMs, undefined, { signal });
      last = { ...last, seq: (last.seq as bigint) + 1n, ts: BigInt(clock()) * NS_PER_MS };
      await send({ type: 'heartbeat', rows: [last] });
    }
  };
  const done = play().catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
  const close = async () => {
    closing.abort();
    await done;
  };
  return { played: played.promise, done, close };
}

const NS_PER_MS = 1_000_000n;
const SNAPSHOT = flagBit('snapshot');
const RETRY_MS = 500;

async function untilTaken(publish: Playback['publish'], message: Message, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      return await publish(message);
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
    }
    await delay(RETRY_MS, undefined, { signal });
  }
}

/** Times of files, kept as plain 64-bit numbers: they move along, so that a file is as old at its exec as it was. */
const FILE_TIMES: ReadonlySet<string> = new Set(['ctime_ns', 'mtime_ns', 'written_ns']);

/**
 * Moves all times of day so that the last event falls on the end of the playing: every event is sent at or after its
 * time. Times on the boot clock stay, they are names of processes within the fresh boot.
 */
function planReplay(recording: readonly Batch[], startMs: number, playMs: number): Part[] {
  const batches = recording.map((batch) => ({ type: batch.type, rows: rowsOf(batch) }));
  // Processes from before the recording carry the time of their own start.
  const recorded = batches.flatMap(({ rows }) => rows).filter((row) => (Number(row.flags) & SNAPSHOT) === 0);
  const [firstNs, lastNs] = boundsOf(recorded);
  const lengthMs = Number((lastNs - firstNs) / NS_PER_MS) + 1;
  const playedMs = Math.min(playMs, lengthMs);
  const shiftNs = BigInt(startMs + playedMs) * NS_PER_MS - lastNs;
  let dueMs = 0;
  return batches.map(({ type, rows }) => {
    const [, newestNs] = boundsOf(rows);
    dueMs = Math.max(dueMs, (Number((newestNs - firstNs) / NS_PER_MS) * playedMs) / lengthMs);
    return { type, rows: rows.map((row) => moved(type, row, shiftNs)), dueMs };
  });
}

function moved(type: Batch['type'], row: AnyRow, shiftNs: bigint): AnyRow {
  const result = { ...row };
  for (const { name, kind } of EVENTS[type].fields) {
    const value = row[name];
    if ((kind === 'time' || FILE_TIMES.has(name)) && value !== 0n) result[name] = (value as bigint) + shiftNs;
  }
  if (type === 'heartbeat') result.mode = 'replay';
  return result;
}

/** The earliest and the latest time of these rows. */
function boundsOf(rows: readonly AnyRow[]): [bigint, bigint] {
  const sorted = rows.map((row) => row.ts as bigint).sort((a, b) => (a < b ? -1 : 1));
  return [sorted[0]!, sorted.at(-1)!];
}
