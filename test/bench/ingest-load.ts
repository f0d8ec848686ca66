/** What the benches of ingest store: the same exec rows as messages, and as Native blocks made beforehand. */
import { randomBytes } from 'node:crypto';
import { chunkOf } from '@bintrail/ingest/chunk.ts';
import { eventBlock, type StoredMessage } from '@bintrail/ingest/event-block.ts';
import type { Message } from '@bintrail/runtime/bus.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { exec } from '@bintrail/schemas/exec.ts';
import type { EventDefinition } from '@bintrail/schemas/field.ts';
import { seededRandom } from '@bintrail/test/seeded-random.ts';
import { finishedRows } from './host-observer.ts';
import { type ExecRow, hostPrograms } from './sample-rows.ts';

/** The rows themselves are let go, as no ingest has them. */
export type Load = {
  readonly rows: number;
  readonly messages: readonly Message[];
  readonly blocks: readonly Uint8Array[];
};

const ROWS = 100_000;
/** Small messages take more of the time, and show the same with fewer rows. */
const SMALL_ROWS = 40_000;
/** Runs of a probe with the same rows: several plans of 16 MiB, of which one is prepared while another is stored. */
const RUNS = { large: 12, small: 4 };
export const SMALL_NODES = 2_000;

/** How the loads are made, for the words of a bench. */
export const LOADS = `${RUNS.large} × ${ROWS.toLocaleString('en-US')} (small messages: ${RUNS.small} × ${SMALL_ROWS.toLocaleString('en-US')}) exec rows`;
export const BLOCKS = 'as many Native blocks of the same rows, made beforehand';

/** `large`: 1,024 rows a message, from so many nodes. `small`: 1–8 rows a message, from {@link SMALL_NODES}. */
export async function makeLoads(largeNodes: number): Promise<{ large: Load; small: Load }> {
  const rows = await finishedRows(hostPrograms(200), ROWS);
  const random = seededRandom(7);
  return {
    large: loadOf(rows, RUNS.large, largeNodes, () => 1_024),
    small: loadOf(rows.slice(0, SMALL_ROWS), RUNS.small, SMALL_NODES, () => 1 + Math.floor(random() * 8)),
  };
}

function loadOf(rows: readonly ExecRow[], count: number, nodes: number, nextSize: () => number): Load {
  const epochs = Array.from({ length: count }, (_, run) => BigInt(1_790_000_000_000 + run));
  const runs = epochs.map((epoch) => messagesOf(rows, nodes, nextSize, epoch));
  const blocks = runs.map((messages) => eventBlock(exec, storedMessages(exec, messages), Date.now()));
  return { rows: rows.length * count, messages: runs.flat(), blocks };
}

const BOOT = '6f1c2d3e-0000-4000-8000-1234567890ab';

/** Messages of these rows from one run of each node's probe, the nodes in turns. */
function messagesOf(rows: readonly ExecRow[], nodes: number, nextSize: () => number, probeEpoch: bigint): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at < rows.length; ) {
    const size = nextSize();
    const node = `node-${messages.length % nodes}`;
    const header = { node, boot: BOOT, probeEpoch, batchSeq: Math.floor(messages.length / nodes) };
    messages.push({ key: node, value: encodeBatch(exec, header, rows.slice(at, at + size)) });
    at += size;
  }
  return messages;
}

/** Those of the messages that carry this kind of event, as ingest hands them to a block. */
export function storedMessages(definition: EventDefinition, messages: readonly Message[]): StoredMessage[] {
  return messages.flatMap(({ value }) => {
    const result = decodeBatch(value);
    if (!result.ok) throw new Error(`${result.reason}: ${result.detail}`);
    return result.batch.type === definition.name ? [{ ...result.batch, ...chunkOf(definition, result.batch) }] : [];
  });
}

/** Seconds for the blocks, one after the other, into the table with all its views. */
export async function insertRaw(store: Store, { blocks }: Load): Promise<number> {
  const beganMs = performance.now();
  for (const block of blocks) await store.insertNative(exec.table, block, randomBytes(16).toString('hex'));
  return (performance.now() - beganMs) / 1_000;
}
