/** Bus → ClickHouse, beside a raw insert of the same rows. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { chunkOf } from '@bintrail/ingest/chunk.ts';
import { eventBlock, type StoredMessage } from '@bintrail/ingest/event-block.ts';
import { createIngest } from '@bintrail/ingest/ingest.ts';
import { openTestStore } from '@bintrail/ingest/store.fixture.ts';
import type { Message } from '@bintrail/runtime/bus.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics } from '@bintrail/runtime/metrics.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { exec } from '@bintrail/schemas/exec.ts';
import { COMPACTED_TOPICS, TOPICS } from '@bintrail/schemas/topics.ts';
import { seededRandom } from '@bintrail/test/seeded-random.ts';
import type { Bench, Figure } from './bench.ts';
import { finishedRows } from './host-observer.ts';
import { type ExecRow, hostPrograms } from './sample-rows.ts';
import { alternate, ratios, summarize } from './stats.ts';
import { tempFolder } from './temp-folder.ts';

const ROWS = 100_000;
/** Small messages take more of the time, and show the same with fewer rows. */
const SMALL_ROWS = 40_000;
/** Runs of a probe with the same rows: enough for several plans, of which one is prepared while another is stored. */
const RUNS = 4;
const PAIRS = 4;
const NODES = 2_000;
const POLL_MS = 5;

async function run(): Promise<Figure[]> {
  const { store, close } = await openTestStore();
  const aim = { of: 'ratio', op: '≥', value: 0.9 } as const;
  const { large, small } = await prepare();
  const figures = [
    { ...(await compare('1,024 rows a message, one node', store, large)), aim, whyMissed: WHY_LARGE },
    { ...(await compare('1–8 rows a message, 2,000 nodes', store, small)), aim, whyMissed: WHY_SMALL },
  ];
  await close();
  return figures;
}

const WHY_LARGE =
  'the first plan is read and decoded before anything is stored, and where both cores are busy decoding and storing share them.';
const WHY_SMALL =
  'each message costs some 0.1 ms to decode and merge, whatever its rows; storing takes a fifth of that and waits.';

/** What is stored: as messages, and as blocks made beforehand. The rows themselves are let go, as no ingest has them. */
type Load = { readonly rows: number; readonly messages: readonly Message[]; readonly blocks: readonly Uint8Array[] };

async function prepare(): Promise<{ large: Load; small: Load }> {
  const rows = await finishedRows(hostPrograms(200), ROWS);
  return { large: loadOf(rows, largeMessages), small: loadOf(rows.slice(0, SMALL_ROWS), smallMessages) };
}

function loadOf(rows: readonly ExecRow[], cut: Cut): Load {
  const epochs = Array.from({ length: RUNS }, (_, run) => BigInt(1_790_000_000_000 + run));
  const runs = epochs.map((epoch) => cut(rows, epoch));
  const blocks = runs.map((messages) => eventBlock(exec, messages.map(stored), Date.now()));
  return { rows: rows.length * RUNS, messages: runs.flat(), blocks };
}

/** Messages of these rows, from one run of the probe. */
type Cut = (rows: readonly ExecRow[], probeEpoch: bigint) => Message[];

async function compare(what: string, store: Store, load: Load): Promise<Figure> {
  await ingested(store, load);
  await inserted(store, load);
  const { a, b } = await alternate(
    PAIRS,
    () => ingested(store, load),
    () => inserted(store, load),
  );
  const [ours, raw] = [a.map((seconds) => load.rows / seconds), b.map((seconds) => load.rows / seconds)];
  const baseline = { what: 'raw Native blocks of the same rows', value: summarize(raw) };
  return { what, unit: 'rows/s', value: summarize(ours), baseline, ratio: ratios(ours, raw) };
}

/** Seconds from the first plan to the last acknowledgement; the messages are on the bus before, which is a new one. */
async function ingested(store: Store, { messages }: Load): Promise<number> {
  const bus = openSqliteBus({ path: join(tempFolder('ingest'), 'bus.db'), compactedTopics: COMPACTED_TOPICS });
  await bus.publish(TOPICS.events, messages);
  const beganMs = performance.now();
  const ingest = createIngest({
    bus,
    store,
    metrics: createMetrics(),
    log: createLog({ level: 'warn', name: 'bench' }),
  });
  while ((await bus.lag(TOPICS.events, 'ingest')).records > 0) await delay(POLL_MS);
  const seconds = (performance.now() - beganMs) / 1_000;
  await ingest.close();
  await bus.close();
  return seconds;
}

/** Seconds for blocks that were made beforehand, one after the other, into the same table with the same views. */
async function inserted(store: Store, { blocks }: Load): Promise<number> {
  const beganMs = performance.now();
  for (const block of blocks) await store.insertNative(exec.table, block, randomBytes(16).toString('hex'));
  return (performance.now() - beganMs) / 1_000;
}

function stored({ value }: Message): StoredMessage {
  const result = decodeBatch(value);
  if (!result.ok) throw new Error(`${result.reason}: ${result.detail}`);
  return { ...result.batch, ...chunkOf(exec, result.batch) };
}

const BOOT = '6f1c2d3e-0000-4000-8000-1234567890ab';

function largeMessages(rows: readonly ExecRow[], probeEpoch: bigint): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at < rows.length; at += 1_024) {
    const header = { node: 'node-0', boot: BOOT, probeEpoch, batchSeq: messages.length };
    messages.push({ key: header.node, value: encodeBatch(exec, header, rows.slice(at, at + 1_024)) });
  }
  return messages;
}

function smallMessages(rows: readonly ExecRow[], probeEpoch: bigint): Message[] {
  const random = seededRandom(7);
  const messages: Message[] = [];
  for (let at = 0; at < rows.length; ) {
    const size = 1 + Math.floor(random() * 8);
    const node = `node-${messages.length % NODES}`;
    const header = { node, boot: BOOT, probeEpoch, batchSeq: Math.floor(messages.length / NODES) };
    messages.push({ key: node, value: encodeBatch(exec, header, rows.slice(at, at + size)) });
    at += size;
  }
  return messages;
}

export const bench: Bench = {
  name: 'ingest',
  title: 'Bus to store',
  method:
    `${RUNS} × ${ROWS.toLocaleString('en-US')} (small messages: ${RUNS} × ${SMALL_ROWS.toLocaleString('en-US')}) exec rows that lie on the SQLite bus, through ingest into the embedded engine with ` +
    `all its views, until acknowledged; against ${RUNS} Native blocks of the same rows, made beforehand, into the same ` +
    `table and views; in turns, ${PAIRS} pairs.`,
  run,
};
