import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { migrate, readMigrations } from '@bintrail/runtime/migrate.ts';
import { openStore, type Store } from '@bintrail/runtime/store.ts';
import type { Approval } from '@bintrail/schemas/approval.ts';
import { type Sighting, VERDICTS, type VerdictValue } from '@bintrail/schemas/sighting.ts';
import { startTestEngine, type TestEngine } from '@bintrail/standalone/clickhouse-host.fixture.ts';
import fc from 'fast-check';
import { compileApprovals } from './approvals.ts';
import { candidateFilter } from './candidate-filter.ts';
import { judge } from './judge.ts';
import { approvalOf, approvals, NOW_MS, plainApprovals, rawSightings, SHA256 } from './sighting.kit.ts';
import { MAX_PARAM_BYTES, MAX_TERMS } from './sql-condition.ts';

const MIGRATIONS = new URL('../../../schemas/migrations/', import.meta.url);

/** Sightings in the real table; the row of `population[i]` has the count i + 1. */
const population = fc
  .uniqueArray(rawSightings, { minLength: 1500, maxLength: 1500, selector: keyOf })
  .map((rows) => rows.map(({ sighting, path }) => ({ sighting, path })));
const [rows] = fc.sample(population, { numRuns: 1, seed: 1 }) as [{ sighting: Sighting; path: Uint8Array }[]];

function keyOf({ sighting, path }: { sighting: Sighting; path: Uint8Array }): string {
  return JSON.stringify([sighting, Buffer.from(path).toString('hex')]);
}

let engine: TestEngine;
let store: Store;

before(async () => {
  engine = await startTestEngine();
  store = openStore(engine);
  await migrate(store, readMigrations(MIGRATIONS));
  await store.command(`CREATE TABLE staged (n Int64, workload String, image String, role String, sha256 String,
    path String, package String, package_version String, package_match String, upper_layer Bool,
    digest_strength String, digest_reason String) ENGINE = MergeTree ORDER BY n`);
  const staged = rows.map(({ sighting, path }, i) => ({
    ...sighting,
    path: Buffer.from(path).toString('hex'),
    n: i + 1,
  }));
  await store.insertRows('staged', staged);
  await store.command(`INSERT INTO sightings (ingest_month, hour, workload, image, role, sha256, path, package,
    package_version, package_match, upper_layer, digest_strength, digest_reason, n)
    SELECT 202603, toDateTime('2026-03-01 00:00:00'), workload, image, role, toFixedString(unhex(sha256), 32),
    unhex(path), package, package_version, package_match, upper_layer, digest_strength, digest_reason, n FROM staged`);
});

after(async () => {
  await store.close();
  await engine.remove();
});

async function passing(all: readonly Approval[], wanted: VerdictValue): Promise<Set<number>> {
  const { sql, params } = candidateFilter(compileApprovals(all), wanted, NOW_MS);
  const found = await store.query<{ n: string }>(`SELECT n FROM sightings WHERE ${sql}`, params);
  return new Set(found.map(({ n }) => Number(n) - 1));
}

/** Sightings that have the verdict, with or without others that corroborate them: a condition on one cannot know. */
function judged(all: readonly Approval[], wanted: VerdictValue): number[] {
  const compiled = compileApprovals(all);
  const has = (i: number, corroborated: boolean) =>
    judge(rows[i]!.sighting, compiled, NOW_MS, corroborated).value === wanted;
  return [...rows.keys()].filter((i) => has(i, false) || has(i, true));
}

async function assertSuperset(all: readonly Approval[]): Promise<void> {
  for (const wanted of VERDICTS) {
    const passed = await passing(all, wanted);
    const missed = judged(all, wanted).filter((i) => !passed.has(i));
    assert.deepEqual(
      missed.slice(0, 3).map((i) => rows[i]!.sighting),
      [],
      `${missed.length} ${wanted} do not pass`,
    );
  }
}

describe('the candidate filter, on the real engine', () => {
  it('passes every sighting that judge gives the wanted verdict', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(approvals, { maxLength: 8 }), (all) => assertSuperset(all)),
      { numRuns: 60 },
    );
  });

  it('passes no other where names are ordinary', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(plainApprovals, { maxLength: 8 }), async (all) => {
        for (const wanted of VERDICTS) {
          assert.deepEqual(
            [...(await passing(all, wanted))].sort((a, b) => a - b),
            judged(all, wanted),
            wanted,
          );
        }
      }),
      { numRuns: 60 },
    );
  });

  it('still answers, and passes more rather than less, for more rules than fit into a query', async () => {
    const digests = Array.from({ length: 20_000 }, (_, i) => (i + 1).toString(16).padStart(64, '0'));
    const many = (effect: 'allow' | 'deny'): Approval[] => [
      ...Array.from({ length: 20 }, (_, i) =>
        approvalOf({ id: `d${i}`, effect, match: { sha256: digests.slice(i * 1000, i * 1000 + 1000) } }),
      ),
      ...Array.from({ length: 2 * MAX_TERMS }, (_, i) =>
        approvalOf({ id: `p${i}`, effect, match: { path: `/srv/${i}/*` }, scope: { workload: `systemd/${i % 40}*` } }),
      ),
    ];
    for (const effect of ['allow', 'deny'] as const) {
      // The last in precedence is the one that no room is left for.
      const last = approvalOf({ id: 'last', revision: 0, effect, match: { sha256: [SHA256[0]!] } });
      await assertSuperset([...many(effect), last]);
      await assertSuperset([...many(effect).filter(({ match }) => 'sha256' in match), last]);
    }
  });

  it('keeps parameters and text within what the engine reads', () => {
    const path = `/${'é'.repeat(2000)}*`;
    const rules = Array.from({ length: 5000 }, (_, i) => approvalOf({ id: `p${i}`, match: { path: `/${i}${path}` } }));
    const { sql, params } = candidateFilter(compileApprovals(rules), 'approved', NOW_MS);
    const sizeBytes = Object.values(params).reduce((sum, value) => sum + encodeURIComponent(String(value)).length, 0);
    assert.ok(sizeBytes <= MAX_PARAM_BYTES && sizeBytes > MAX_PARAM_BYTES / 2);
    assert.ok(sql.length < 256 * 1024);
  });

  it('leaves out rules that have expired by then', () => {
    const all = [approvalOf({ effect: 'deny', expires_at: '2026-03-01T12:00:00Z' })];
    const compiled = compileApprovals(all);
    assert.deepEqual(candidateFilter(compiled, 'denied', NOW_MS), { sql: '0', params: {} });
    assert.notEqual(candidateFilter(compiled, 'denied', NOW_MS - 1).sql, '0');
  });
});
