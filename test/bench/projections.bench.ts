/** What each projection of the roll-ups costs an insert, and what the questions cost without it. */
import { setTimeout as delay } from 'node:timers/promises';
import { openTestStore } from '@bintrail/ingest/store.fixture.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import type { Bench, Figure } from './bench.ts';
import { generateEvents } from './generated-events.ts';
import { type Asked, askAll, openAsking, QUESTIONS, readWork } from './questions.ts';
import { single } from './stats.ts';

/** There before anything is measured. */
const EVENTS = 1_000_000;
const CHUNK = 100_000;
/** Rows of one insert, as a plan of a busy ingest has. */
const PLAN_ROWS = 20_000;
const PLANS = 10;
const ASKED = 3;
const IDLE_POLL_MS = 500;

type Projection = { readonly table: string; readonly name: string; readonly query: string };
type Cost = { readonly insertCpuS: number; readonly asked: readonly Asked[] };

async function run(): Promise<Figure[]> {
  const { store, close } = await openTestStore();
  const { ask, closeApi } = await openAsking(store);
  for (let at = 0; at < EVENTS; at += CHUNK) await generateEvents(store, at, CHUNK, EVENTS);
  /** The newest events again, as a plan has those of the last moments. CPU seconds of the engine. */
  const insert = async (): Promise<number> => {
    await mergesEnd(store);
    const before = await readWork(store);
    for (let plan = PLANS; plan > 0; plan--) await generateEvents(store, EVENTS - plan * PLAN_ROWS, PLAN_ROWS, EVENTS);
    await mergesEnd(store);
    return ((await readWork(store)).cpuMs - before.cpuMs) / 1_000;
  };
  await insert();
  const figures: Figure[] = [];
  for (const each of await projectionsOf(store)) {
    const { table, name, query } = each;
    // Both are asked of the same rows.
    const all = { insertCpuS: await insert(), asked: await askAll(store, ask, ASKED) };
    await store.command(`ALTER TABLE ${table} DROP PROJECTION ${name} SETTINGS mutations_sync = 2`);
    const asked = await askAll(store, ask, ASKED);
    figures.push(...figuresOf(each, { insertCpuS: await insert(), asked }, all));
    await store.command(`ALTER TABLE ${table} ADD PROJECTION ${name} (${query})`);
    await store.command(`ALTER TABLE ${table} MATERIALIZE PROJECTION ${name} SETTINGS mutations_sync = 2`);
  }
  await closeApi();
  await close();
  return figures;
}

function projectionsOf(store: Store): Promise<Projection[]> {
  return store.query<Projection>(
    `SELECT table, name, query FROM system.projections
     WHERE database = currentDatabase() AND table IN ('sightings', 'sighting_nodes') ORDER BY table, name`,
  );
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
    compare(
      `CPU of the engine for ${(PLANS * PLAN_ROWS).toLocaleString('en-US')} rows`,
      's',
      ({ insertCpuS }) => insertCpuS,
    ),
    compare(`rows read for “${worst.what}”`, 'rows', ({ asked }) => asked[worst.index]!.rowsRead),
  ];
}

export const bench: Bench = {
  name: 'projections',
  title: 'Projections',
  method:
    `${PLANS} inserts of ${PLAN_ROWS.toLocaleString('en-US')} generated events through the real views, merges included, into a store of ${EVENTS.toLocaleString('en-US')} and more, ` +
    `and each question ${ASKED} times; with all projections of the roll-ups, then without one, for each of them. CPU time and rows are the engine's own counters.`,
  run,
};
