import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { MIGRATIONS } from '@bintrail/ingest/store.fixture.ts';
import { migrate, readMigrations } from '@bintrail/runtime/migrate.ts';
import { openStore, type Store } from '@bintrail/runtime/store.ts';
import { startTestEngine, type TestEngine } from '@bintrail/standalone/clickhouse-host.fixture.ts';
import { sumsIn } from './sums.ts';

const HOUR_S = 3_600;
const DAY_S = 86_400;
const BASE_S = 1_790_000_000 - (1_790_000_000 % DAY_S);
const WORKLOADS = ['host', 'systemd/a.service', 'systemd/b.service'];

type Row = { hour: number; workload: string; node: string; n: number };

describe('sums of a roll-up, in a store that held rows before it kept them', () => {
  let engine: TestEngine;
  let store: Store;
  const rows: Row[] = [];

  before(async () => {
    engine = await startTestEngine();
    store = openStore(engine);
    const migrations = readMigrations(MIGRATIONS);
    await migrate(
      store,
      migrations.filter(({ version }) => version < 6),
    );
    await add(0, 40);
    await migrate(store, migrations);
    await add(40, 60);
    await materialized(store);
  });
  after(async () => {
    await store.close();
    await engine.remove();
  });

  // Every third hour, from 30 hours before the base on; a late digest takes one away again.
  async function add(from: number, to: number): Promise<void> {
    for (let index = from; index < to; index += 1) {
      const row = {
        hour: BASE_S + (index * 3 - 30) * HOUR_S,
        workload: WORKLOADS[index % 3]!,
        node: `node-${index % 4}`,
      };
      const counts = index % 10 === 0 ? [2, -1] : [index];
      for (const n of counts) {
        rows.push({ ...row, n });
        const seen = { first_seen: row.hour, last_seen: row.hour + 60 };
        const there = { ingest_month: 202609, role: 'exec', sha256: 'a'.repeat(32), path: '/bin/a', ...seen };
        await store.insertRows('sightings', [{ ...there, hour: row.hour, workload: row.workload, n }]);
        await store.insertRows('sighting_nodes', [{ ...there, ...row, n }]);
      }
    }
  }

  const windows: Readonly<Record<string, [sinceS: number | undefined, untilS: number | undefined]>> = {
    'all time': [undefined, undefined],
    'within an hour': [BASE_S + 100, BASE_S + 200],
    'within a day': [BASE_S + 2 * HOUR_S, BASE_S + 9 * HOUR_S],
    'two ends of days': [BASE_S - 5 * HOUR_S, BASE_S + 5 * HOUR_S],
    'whole days': [BASE_S, BASE_S + 2 * DAY_S],
    'days and hours': [BASE_S - 7 * HOUR_S, BASE_S + 2 * DAY_S + 7 * HOUR_S],
    'from a time on': [BASE_S + 5 * HOUR_S, undefined],
    'from a day on': [BASE_S + DAY_S, undefined],
    'up to a time': [undefined, BASE_S + DAY_S + 5 * HOUR_S],
    'up to a day': [undefined, BASE_S + DAY_S],
    'before everything': [BASE_S - 90 * DAY_S, BASE_S - 80 * DAY_S],
  };
  const END_NS = 9_223_372_036_000_000_000n;

  for (const [name, [sinceS, untilS]] of Object.entries(windows)) {
    it(`are those of the rows: ${name}`, async () => {
      const window = {
        sinceNs: sinceS === undefined ? 0n : BigInt(sinceS) * 1_000_000_000n,
        untilNs: untilS === undefined ? END_NS : BigInt(untilS) * 1_000_000_000n,
      };
      const wanted = new Map<string, number>();
      for (const { hour, workload, n } of rows) {
        // A window takes in the whole hours that it reaches into.
        if (hour + HOUR_S <= (sinceS ?? 0) || hour >= (untilS ?? Number.POSITIVE_INFINITY)) continue;
        wanted.set(workload, (wanted.get(workload) ?? 0) + n);
      }
      for (const table of ['sightings', 'sighting_nodes'] as const) {
        const { sql, params } = sumsIn(table, window, ['workload'], "role = 'exec'");
        const found = await store.query<{ workload: string; total: string }>(
          `SELECT workload, sum(n) AS total FROM ${sql} GROUP BY workload`,
          params,
        );
        const counts = new Map(found.map(({ workload, total }) => [workload, Number(total)]));
        assert.deepEqual(new Map([...counts].sort()), new Map([...wanted].sort()), table);
      }
    });
  }

  it('come from what is kept summed', async () => {
    const plan = async (table: 'sightings' | 'sighting_nodes', sinceS: number, columns: string[]) => {
      const window = { sinceNs: BigInt(sinceS) * 1_000_000_000n, untilNs: END_NS };
      const { sql, params } = sumsIn(table, window, columns, '1');
      const lines = await store.query<{ explain: string }>(
        `SELECT explain FROM (EXPLAIN SELECT sum(n) FROM ${sql}) WHERE explain LIKE '%ReadFrom%'`,
        params,
      );
      return lines.map(({ explain }) => /\((?:\w+\.)?(\w+)\)/.exec(explain)?.[1]);
    };
    assert.deepEqual(await plan('sightings', 0, ['sha256', 'digest_reason']), ['ever']);
    assert.deepEqual(await plan('sightings', BASE_S, ['workload']), ['days']);
    assert.deepEqual(await plan('sighting_nodes', BASE_S, ['node', 'image']), ['places_by_day']);
    assert.deepEqual(await plan('sighting_nodes', BASE_S - HOUR_S, ['node']), ['places_by_hour', 'places_by_day']);
  });
});

async function materialized(store: Store): Promise<void> {
  for (;;) {
    const waiting = await store.query('SELECT 1 FROM system.mutations WHERE NOT is_done LIMIT 1');
    if (waiting.length === 0) return;
    await delay(50);
  }
}
