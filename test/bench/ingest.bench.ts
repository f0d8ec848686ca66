/** Bus → ClickHouse, beside a raw insert of the same rows. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { eventBlock } from '@bintrail/ingest/event-block.ts';
import { createIngest } from '@bintrail/ingest/ingest.ts';
import { openTestStore } from '@bintrail/ingest/store.fixture.ts';
import type { Bus, Message } from '@bintrail/runtime/bus.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics } from '@bintrail/runtime/metrics.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { type Batch, decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { exec } from '@bintrail/schemas/exec.ts';
import { COMPACTED_TOPICS, TOPICS } from '@bintrail/schemas/topics.ts';
import { seededRandom } from '@bintrail/test/seeded-random.ts';
import type { Bench, Figure } from './bench.ts';
import { finishedRows } from './host-observer.ts';
import { type ExecRow, hostPrograms } from './sample-rows.ts';
import { alternate, ratios, summarize } from './stats.ts';
import { tempFolder } from './temp-folder.ts';

const LARGE_ROWS = 100_000;
const SMALL_ROWS = 40_000;
const PAIRS = 4;
const NODES = 2_000;
const POLL_MS = 5;

type World = { readonly bus: Bus; readonly store: Store };

async function run(): Promise<Figure[]> {
  const rows = await finishedRows(hostPrograms(200), LARGE_ROWS);
  const bus = openSqliteBus({ path: join(tempFolder('ingest'), 'bus.db'), compactedTopics: COMPACTED_TOPICS });
  const { store, close } = await openTestStore();
  const aim = { of: 'ratio', op: '≥', value: 0.9 } as const;
  const world = { bus, store };
  const figures = [
    { ...(await compare('1,024 rows a message, one node', world, rows, largeMessages)), aim, whyMissed: WHY_LARGE },
    {
      ...(await compare('1–8 rows a message, 2,000 nodes', world, rows.slice(0, SMALL_ROWS), smallMessages)),
      ...{ aim, whyMissed: WHY_SMALL },
    },
  ];
  await bus.close();
  await close();
  return figures;
}

const WHY_LARGE =
  'two thirds of the time are inserts, in three plans of 8 MiB; the next plan is read, decoded and made a block only after.';
const WHY_SMALL =
  'each of 9,000 messages costs 0.2 ms to unpack, decode and merge, whatever its rows; inserts are a fifth of the time.';

/** Messages of these rows, from a run of the probe that nobody has seen before. */
type Cut = (rows: readonly ExecRow[], probeEpoch: bigint) => Message[];

async function compare(what: string, world: World, rows: readonly ExecRow[], cut: Cut): Promise<Figure> {
  let probeEpoch = BigInt(Date.now());
  const nextCut = () => cut(rows, probeEpoch++);
  const block = eventBlock(exec, nextCut().map(decoded), Date.now());
  await ingested(world, nextCut());
  await inserted(world, block);
  const { a, b } = await alternate(
    PAIRS,
    () => ingested(world, nextCut()),
    () => inserted(world, block),
  );
  const [ours, raw] = [a.map((seconds) => rows.length / seconds), b.map((seconds) => rows.length / seconds)];
  const baseline = { what: 'one raw Native block of the same rows', value: summarize(raw) };
  return { what, unit: 'rows/s', value: summarize(ours), baseline, ratio: ratios(ours, raw) };
}

/** Seconds from the first plan to the last acknowledgement; the messages are on the bus before. */
async function ingested({ bus, store }: World, messages: readonly Message[]): Promise<number> {
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
  return seconds;
}

/** Seconds for a block that was made beforehand, into the same table with the same views. */
async function inserted({ store }: World, block: Uint8Array): Promise<number> {
  const beganMs = performance.now();
  await store.insertNative(exec.table, block, randomBytes(16).toString('hex'));
  return (performance.now() - beganMs) / 1_000;
}

function decoded({ value }: Message): Batch {
  const result = decodeBatch(value);
  if (!result.ok) throw new Error(`${result.reason}: ${result.detail}`);
  return result.batch;
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
    `${LARGE_ROWS.toLocaleString('en-US')} (small messages: ${SMALL_ROWS.toLocaleString('en-US')}) exec rows that lie on the SQLite bus, through ingest into the embedded engine with ` +
    'all its views, until acknowledged; against one Native block of the same rows, made beforehand, into the same ' +
    `table and views; in turns, ${PAIRS} pairs.`,
  run,
};
