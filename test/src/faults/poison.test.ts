import { test } from 'node:test';
import { openTestStore } from '@bintrail/ingest/store.fixture.ts';
import { drillPoison } from './poison.drill.ts';
import { drillReplay } from './replay.drill.ts';
import { sqlite } from './sqlite.drilled.ts';

const seed = Number(process.env.BINTRAIL_SEED ?? 1);

for (const bus of [sqlite]) {
  test(`poison on every topic of a ${bus.name} bus stops nothing (BINTRAIL_SEED=${seed})`, async (t) => {
    const { store, close } = await openTestStore();
    t.after(close);
    await drillPoison(t, bus, store, seed);
  });

  test(`what an older ingest refused on a ${bus.name} bus is stored once after a replay (BINTRAIL_SEED=${seed})`, async (t) => {
    const { store, close } = await openTestStore();
    t.after(close);
    await drillReplay(t, bus, store, seed);
  });
}
