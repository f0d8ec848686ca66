import { test } from 'node:test';
import { openTestStore } from '@bintrail/ingest/store.fixture.ts';
import { drillPoison } from '../src/faults/poison.drill.ts';
import { drillReplay } from '../src/faults/replay.drill.ts';
import { kafkaForTests } from './for-tests.ts';
import { kafka } from './kafka.drilled.ts';

await kafkaForTests();
const seed = Number(process.env.BINTRAIL_SEED ?? 1);

test(`poison on every topic of Kafka stops nothing (BINTRAIL_SEED=${seed})`, async (t) => {
  const { store, close } = await openTestStore();
  t.after(close);
  await drillPoison(t, kafka, store, seed);
});

test(`what an older ingest refused on Kafka is stored once after a replay (BINTRAIL_SEED=${seed})`, async (t) => {
  const { store, close } = await openTestStore();
  t.after(close);
  await drillReplay(t, kafka, store, seed);
});
