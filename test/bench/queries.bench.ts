/** What an analyst waits for, with many events in the store. */
import { setTimeout as delay } from 'node:timers/promises';
import { openTestStore } from '@bintrail/ingest/store.fixture.ts';
import type { Bench, Figure } from './bench.ts';
import { generateEvents, PROGRAMS, WORKLOADS } from './generated-events.ts';
import { askAll, openAsking, QUESTIONS } from './questions.ts';
import { quantile, single } from './stats.ts';
import { numberText } from './table.ts';

const EVENTS = 10_000_000;
const FEW_EVENTS = 100_000;
const CHUNK = 500_000;
const MERGE_MS = 5_000;
const ASKED = 40;

async function run(): Promise<Figure[]> {
  const { store, close } = await openTestStore();
  const { ask, closeApi } = await openAsking(store);
  await generateEvents(store, 0, FEW_EVENTS, FEW_EVENTS);
  const few = await askAll(store, ask, ASKED);
  await store.command('TRUNCATE TABLE exec_events');
  for (const table of ['sightings', 'sighting_nodes', 'lineage']) await store.command(`TRUNCATE TABLE ${table}`);
  for (let from = 0; from < EVENTS; from += CHUNK) await generateEvents(store, from, CHUNK, EVENTS);
  await delay(MERGE_MS);
  const many = await askAll(store, ask, ASKED);
  await closeApi();
  await close();
  return QUESTIONS.map(({ what, whyMissed }, index): Figure => {
    const [now, beside] = [many[index]!, few[index]!];
    const [p95, besideP95] = [quantile(now.tookMs, 0.95), quantile(beside.tookMs, 0.95)];
    return {
      ...{ what: `${what}: 95th percentile at ${EVENTS / 1e6} M events`, unit: 'ms' },
      value: single(p95, now.tookMs.length),
      detail:
        `median ${numberText(quantile(now.tookMs, 0.5))}; the engine read ${numberText(now.rowsRead)} rows ` +
        `in ${numberText(now.cpuMs)} ms of CPU time`,
      baseline: { what: `at ${FEW_EVENTS / 1e6} M`, value: single(besideP95, beside.tookMs.length) },
      ratio: single(p95 / besideP95),
      aim: { of: 'value', op: '≤', value: 100 },
      whyMissed: whyMissed ?? WHY_MISSED,
    };
  });
}

const WHY_MISSED =
  'an answer is six to nine queries, and each costs the engine some 4 to 20 ms of planning however little it reads; ' +
  'they share the cores with each other and with whatever else runs.';

export const bench: Bench = {
  name: 'queries',
  title: 'Questions',
  method:
    `${EVENTS / 1e6} M events generated in the embedded engine through the real views (${WORKLOADS} workloads, 2,000 ` +
    `nodes, ${PROGRAMS} programs, 30 days); each question up to ${ASKED} times through the api's handler, about ` +
    "different things. Rows read and CPU time are the engine's own counters, per question.",
  run,
};
