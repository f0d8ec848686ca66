/** Bus → ClickHouse, beside a raw insert of the same rows. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createIngest } from '@bintrail/ingest/ingest.ts';
import { openTestStore } from '@bintrail/ingest/store.fixture.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics } from '@bintrail/runtime/metrics.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { COMPACTED_TOPICS, TOPICS } from '@bintrail/schemas/topics.ts';
import type { Bench, Figure } from './bench.ts';
import { BLOCKS, insertRaw, LOADS, type Load, makeLoads } from './ingest-load.ts';
import { alternate, ratios, summarize } from './stats.ts';
import { tempFolder } from './temp-folder.ts';

const PAIRS = 4;
const POLL_MS = 5;

async function run(): Promise<Figure[]> {
  const { store, close } = await openTestStore();
  const aim = { of: 'ratio', op: '≥', value: 0.9 } as const;
  const { large, small } = await makeLoads(1);
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

async function compare(what: string, store: Store, load: Load): Promise<Figure> {
  await ingested(store, load);
  await insertRaw(store, load);
  const { a, b } = await alternate(
    PAIRS,
    () => ingested(store, load),
    () => insertRaw(store, load),
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

export const bench: Bench = {
  name: 'ingest',
  title: 'Bus to store',
  method:
    `${LOADS} that lie on the SQLite bus, through ingest into the embedded engine with ` +
    `all its views, until acknowledged; against ${BLOCKS}, into the same ` +
    `table and views; in turns, ${PAIRS} pairs.`,
  run,
};
