import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createPolicyView } from '@bintrail/analysis/policy-view.ts';
import { createDetectState, detect, remember } from '@bintrail/detect/stage.ts';
import { createStoreEvents } from '@bintrail/ingest/events-stage.ts';
import { batchGaps } from '@bintrail/ingest/gaps.ts';
import { inOrder, storedRollups } from '@bintrail/ingest/rollups.fixture.ts';
import { decoded, openTestStore, planOf, type TestStore } from '@bintrail/ingest/store.fixture.ts';
import { seededRandom } from '../seeded-random.ts';
import { createFleet } from './fleet.ts';

const EXECS = 1_500;
const RUNS = 3;
const MAX_PLAN = 120;
const TABLES = ['exec_events', 'exit_events', 'digest_events', 'loss_events', 'heartbeat_events'];
const ROLLUPS = ['sightings', 'sighting_nodes', 'lineage', 'coverage', 'batches', 'probe_runs'];
const DAY_MS = 86_400_000;

function fleetMessages(): Uint8Array[] {
  const fleet = createFleet({ seed: 11, nodes: 15, workloads: 8, startMs: Date.now() - 2 * 3_600_000, maxRows: 6 });
  return [...fleet.send(EXECS), ...fleet.finish()].map(({ value }) => value);
}

/** The same messages in any order, some of them twice. */
function disturbed(messages: readonly Uint8Array[], random: () => number): Uint8Array[] {
  const twice = messages.filter(() => random() < 0.1);
  return [...messages, ...twice]
    .map((value) => [random(), value] as const)
    .sort(([a], [b]) => a - b)
    .map(([, value]) => value);
}

/** In plans of any size, made at times in any order: the clock of whoever plans may step as well. */
async function store(test: TestStore, values: readonly Uint8Array[], busId: string, random: () => number) {
  const storeEvents = createStoreEvents(test.store);
  for (let from = 0; from < values.length; ) {
    const size = 1 + Math.floor(random() * MAX_PLAN);
    const atMs = Date.now() - Math.floor(random() * DAY_MS);
    const plan = planOf(values.slice(from, from + size), { from, atMs, busId });
    await storeEvents(plan);
    from = plan.to;
  }
}

async function finalState({ store: engine }: TestStore) {
  const rows = TABLES.map((table) => `SELECT '${table}' AS name, toUInt32(count()) AS n FROM ${table}`);
  const known = "SELECT 'messages' AS name, toUInt32(uniqExact(node, boot, probe_epoch, batch_seq)) AS n FROM batches";
  return {
    rows: await engine.query(`SELECT * FROM (${[...rows, known].join(' UNION ALL ')}) ORDER BY name`),
    rollups: inOrder(await storedRollups(engine)),
    gaps: await batchGaps(engine, { sinceMs: 0, untilMs: Date.now() + DAY_MS }),
  };
}

/** Ids of the findings that anybody hears of. */
function found(values: readonly Uint8Array[], random: () => number): string[] {
  const state = createDetectState();
  const ids: string[] = [];
  for (let from = 0; from < values.length; ) {
    const to = from + 1 + Math.floor(random() * MAX_PLAN);
    const detected = detect(values.slice(from, to).map(decoded), createPolicyView(), state);
    remember(state, detected);
    ids.push(...detected.out.map(({ finding }) => finding.finding_id));
    from = to;
  }
  return ids.sort();
}

describe('messages that come late, doubled and in any order', () => {
  let test: TestStore;
  before(async () => {
    test = await openTestStore();
  });
  after(() => test.close());

  it('end in the same state', async () => {
    const messages = fleetMessages();
    await store(test, messages, 'bus in order', seededRandom(1));
    const expected = await finalState(test);
    assert.deepEqual(expected.gaps, []);
    for (let run = 1; run <= RUNS; run++) {
      for (const table of [...TABLES, ...ROLLUPS]) await test.store.command(`TRUNCATE TABLE ${table}`);
      const random = seededRandom(run);
      await store(test, disturbed(messages, random), `bus of run ${run}`, random);
      assert.deepEqual(await finalState(test), expected, `seed ${run}`);
    }
  });

  it('make the same findings, each once', () => {
    const messages = fleetMessages();
    const expected = found(messages, seededRandom(1));
    assert.ok(expected.length > 20, `${expected.length} findings`);
    assert.equal(new Set(expected).size, expected.length);
    for (let run = 1; run <= RUNS; run++) {
      const random = seededRandom(run);
      assert.deepEqual(found(disturbed(messages, random), random), expected, `seed ${run}`);
    }
  });
});
