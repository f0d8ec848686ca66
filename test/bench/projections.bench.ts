/** What each projection of the roll-ups costs an insert, and what the questions cost without it. */
import { setTimeout as delay } from 'node:timers/promises';
import { openTestStore } from '@bintrail/ingest/store.fixture.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import type { Bench, Figure } from './bench.ts';
import { generateEvents } from './generated-events.ts';
import { type Asked, askAll, openAsking, QUESTIONS, readWork } from './questions.ts';
import { single } from './stats.ts';

const EVENTS = 1_000_000;
/** Rows of one insert, as a plan of a busy ingest has. */
const PLAN_ROWS = 20_000;
const ASKED = 8;
const IDLE_POLL_MS = 500;

type Projection = { readonly table: string; readonly name: string };
type Cost = { readonly insertCpuS: number; readonly bytes: number; readonly asked: readonly Asked[] };

async function run(): Promise<Figure[]> {
  const { store, close } = await openTestStore();
  const projections = await projectionsOf(store);
  await close();
  // The first run of an engine also warms the page cache of its 500 MB of program text.
  await costWithout(undefined);
  const all = await costWithout(undefined);
  const figures: Figure[] = [];
  for (const each of projections) figures.push(...figuresOf(each, await costWithout(each), all));
  return figures;
}

function projectionsOf(store: Store): Promise<Projection[]> {
  return store.query<Projection>(
    `SELECT table, name FROM system.projections
     WHERE database = currentDatabase() AND table IN ('sightings', 'sighting_nodes') ORDER BY table, name`,
  );
}

/** A new store without this projection, filled and asked. */
async function costWithout(projection: Projection | undefined): Promise<Cost> {
  const { store, close } = await openTestStore();
  if (projection) await store.command(`ALTER TABLE ${projection.table} DROP PROJECTION ${projection.name}`);
  const before = await readWork(store);
  for (let from = 0; from < EVENTS; from += PLAN_ROWS) await generateEvents(store, from, PLAN_ROWS, EVENTS);
  await mergesEnd(store);
  const insertCpuS = ((await readWork(store)).cpuMs - before.cpuMs) / 1_000;
  const [size] = await store.query<{ bytes: number }>(
    `SELECT toFloat64(sum(bytes_on_disk)) AS bytes FROM system.parts
     WHERE active AND database = currentDatabase() AND table IN ('sightings', 'sighting_nodes')`,
  );
  const { ask, closeApi } = await openAsking(store);
  const asked = await askAll(store, ask, ASKED);
  await closeApi();
  await close();
  return { insertCpuS, bytes: size!.bytes, asked };
}

async function mergesEnd(store: Store): Promise<void> {
  for (let idle = 0; idle < 3; await delay(IDLE_POLL_MS)) {
    const [running] = await store.query<{ n: number }>('SELECT toUInt32(count()) AS n FROM system.merges');
    idle = running!.n === 0 ? idle + 1 : 0;
  }
}

function figuresOf({ table, name }: Projection, without: Cost, all: Cost): Figure[] {
  const compare = (what: string, unit: string, of: (cost: Cost) => number): Figure => ({
    ...{ what: `without ${table}.${name}: ${what}`, unit, value: single(of(without)) },
    baseline: { what: 'with all', value: single(of(all)) },
    ratio: single(of(without) / of(all)),
  });
  const worst = QUESTIONS.map(({ what }, index) => {
    const more = without.asked[index]!.rowsRead / all.asked[index]!.rowsRead;
    return { what, index, more };
  }).sort((a, b) => b.more - a.more)[0]!;
  return [
    compare(`CPU of the engine for ${EVENTS / 1e6} M rows`, 's', ({ insertCpuS }) => insertCpuS),
    compare('roll-ups on disk', 'MB', ({ bytes }) => bytes / 1e6),
    compare('rows read for all questions, one of each', 'rows', ({ asked }) => sum(asked, 'rowsRead')),
    compare('CPU of the engine for all questions, one of each', 'ms', ({ asked }) => sum(asked, 'cpuMs')),
    compare(`rows read for “${worst.what}”`, 'rows', ({ asked }) => asked[worst.index]!.rowsRead),
  ];
}

function sum(asked: readonly Asked[], which: 'rowsRead' | 'cpuMs'): number {
  return asked.reduce((total, each) => total + each[which], 0);
}

export const bench: Bench = {
  name: 'projections',
  title: 'Projections',
  method:
    `${EVENTS / 1e6} M events through the real views in inserts of ${PLAN_ROWS.toLocaleString('en-US')} rows, merges included, and each question ` +
    `${ASKED} times; once with all projections of the roll-ups, and once without each of them. CPU time and rows are the engine's own counters.`,
  run,
};
