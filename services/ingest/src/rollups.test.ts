import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { blankRow } from '@bintrail/schemas/event-rows.fixture.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import type { EventDefinition, RowOf } from '@bintrail/schemas/field.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { createStoreEvents } from './events-stage.ts';
import { expectedRollups, inOrder, type StoredEvent, storedRollups } from './rollups.fixture.ts';
import { HEADER, openTestStore, planOf, type TestStore } from './store.fixture.ts';

const { exec, load, digest, loss } = EVENTS;
const HOUR_NS = 3_600_000_000_000n;
const NOW_NS = BigInt(Date.now()) * 1_000_000n;
const SHA = 'ab'.repeat(16);

const program = { path: '/opt/tool', parent_path: '/bin/sh', workload: 'systemd/tool.service', uid: 7 } as const;
const pendingExec = (ts: bigint, pid: number) => blankRow(exec, { ...program, ts, pid, digest_reason: 'pending' });
const lateDigest = (event_ts: bigint, pid: number, found: Partial<RowOf<typeof digest>> = {}) =>
  blankRow(digest, {
    ...program,
    ts: event_ts + 5n,
    event_ts,
    pid,
    role: 'exec',
    sha256: SHA,
    digest_source: 'held',
    digest_strength: 'exact',
    package: 'dpkg:tool:amd64',
    package_match: 'match',
    ...found,
  });

describe('roll-ups', () => {
  let test: TestStore;
  let plans = 0;
  before(async () => {
    test = await openTestStore();
  });
  after(() => test.close());
  beforeEach(async () => {
    for (const table of ['sightings', 'sighting_nodes', 'lineage', 'coverage']) {
      await test.store.command(`TRUNCATE TABLE ${table}`);
    }
  });

  const events: StoredEvent[] = [];
  beforeEach(() => {
    events.length = 0;
  });

  /** One message of these rows in a plan of its own. */
  const store = async <D extends EventDefinition>(definition: D, rows: readonly RowOf<D>[]) => {
    plans += 1;
    const header = { ...HEADER, batchSeq: plans };
    await createStoreEvents(test.store)(planOf([encodeBatch(definition, header, rows)], { from: plans }));
    for (const row of rows) events.push({ type: definition.name as StoredEvent['type'], header, row });
  };

  const assertAsExpected = async () => {
    const expected = inOrder(expectedRollups(events));
    assert.deepEqual(inOrder(await storedRollups(test.store)), expected);
    for (const table of ['sightings', 'sighting_nodes', 'lineage', 'coverage']) {
      await test.store.command(`OPTIMIZE TABLE ${table} FINAL`);
    }
    assert.deepEqual(inOrder(await storedRollups(test.store)), expected);
    return expected;
  };

  const counts = (reason: string) =>
    test.store.query<{ total: string }>(
      `SELECT toString(sum(n)) AS total FROM sightings WHERE digest_reason = '${reason}' GROUP BY ALL HAVING sum(n) != 0`,
    );

  it('move a pending execution to its digest when that comes', async () => {
    await store(exec, [pendingExec(NOW_NS, 1), pendingExec(NOW_NS + 1n, 2)]);
    assert.deepEqual(await counts('pending'), [{ total: '2' }]);
    await store(digest, [lateDigest(NOW_NS, 1)]);
    assert.deepEqual(await counts('pending'), [{ total: '1' }]);
    await store(digest, [lateDigest(NOW_NS + 1n, 2)]);
    assert.deepEqual(await counts('pending'), []);
    const { sightings } = await assertAsExpected();
    assert.deepEqual(
      sightings!.map(([, value]) => value),
      [`2 ${NOW_NS} ${NOW_NS + 1n}`],
    );
  });

  it('move it also when the digest came first, and from the hour of the execution', async () => {
    const before = NOW_NS - 30n * HOUR_NS;
    await store(digest, [lateDigest(before, 1, { ts: NOW_NS })]);
    await store(exec, [pendingExec(before, 1)]);
    const { sightings, nodes } = await assertAsExpected();
    assert.equal(sightings!.length, 1);
    assert.equal(nodes!.length, 1);
    assert.ok(sightings![0]![0].startsWith(`${(before / HOUR_NS) * 3600n},`));
  });

  it('move it to a final reason, and a pending script as well', async () => {
    await store(exec, [pendingExec(NOW_NS, 1)]);
    await store(digest, [lateDigest(NOW_NS, 1, { sha256: '', digest_strength: '', digest_reason: 'vanished' })]);
    await store(load, [blankRow(load, { ...program, ts: NOW_NS, role: 'script', digest_reason: 'pending' })]);
    await store(digest, [lateDigest(NOW_NS, 1, { role: 'script' })]);
    assert.deepEqual(await counts('pending'), []);
    await assertAsExpected();
  });

  it('move it whatever package a pending execution claims', async () => {
    await store(exec, [{ ...pendingExec(NOW_NS, 1), package: 'dpkg:tool:amd64', package_match: 'no_record' }]);
    await store(digest, [lateDigest(NOW_NS, 1)]);
    assert.deepEqual(await counts('pending'), []);
    await assertAsExpected();
  });

  it('leave out what ran before the probe started', async () => {
    const flags = flagBit('snapshot');
    await store(exec, [{ ...pendingExec(NOW_NS, 1), flags }]);
    await store(load, [blankRow(load, { ...program, role: 'library', ts: NOW_NS, flags, digest_reason: 'snapshot' })]);
    await store(digest, [lateDigest(NOW_NS, 1, { flags })]);
    assert.deepEqual(await assertAsExpected(), { sightings: [], nodes: [], lineage: [], coverage: [] });
  });

  it('hold one block that spans two months of event time, and times no clock should show', async () => {
    const lastSecond = (1n << 63n) - 1n;
    const times = [0n, 1n, NOW_NS - 31n * 24n * HOUR_NS, NOW_NS - 500n * 24n * HOUR_NS, NOW_NS, lastSecond];
    const ends = [4_294_967_295n, 4_294_967_296n, 4_294_965_599n].map((seconds) => seconds * 1_000_000_000n);
    await store(
      exec,
      [...times, ...ends].map((ts, pid) => blankRow(exec, { ...program, ts, pid, sha256: SHA })),
    );
    await store(
      loss,
      [...times, ...ends].map((ts) => blankRow(loss, { ts, place: 'ring', seen: 2n, sent: 1n, lost: 1n })),
    );
    const { sightings } = await assertAsExpected();
    const total = sightings!.reduce((sum, [, value]) => sum + Number(value.split(' ')[0]), 0);
    assert.equal(total, times.length + ends.length);
  });

  it('keep cumulative counters at their highest, late, doubled and out of order', async () => {
    const record = (seen: bigint, lost: bigint, cpu = 0) =>
      blankRow(loss, { ts: NOW_NS, cpu, event_type: 'exec', place: 'ring', seen, sent: seen - lost, lost });
    await store(loss, [record(10n, 1n), record(30n, 4n)]);
    await store(loss, [record(20n, 3n)]);
    await store(loss, [record(30n, 4n), record(5n, 0n, 1)]);
    const { coverage } = await assertAsExpected();
    assert.deepEqual(
      coverage!.map(([, value]) => value),
      ['30 26 4', '5 5 0'],
    );
  });

  it('never refuse: texts of any bytes, and long ones', async () => {
    const huge = '\xff\0\n'.repeat(100_000);
    const row = { path: huge, parent_path: huge, workload: huge, image: huge, sha256: '\xff'.repeat(32) } as const;
    await store(exec, [blankRow(exec, { ...row, ts: NOW_NS, argv: huge, uid: 0xffff_ffff, flags: 0xffff_ffbf })]);
    await store(load, [blankRow(load, { ...row, ts: NOW_NS, role: huge })]);
    await store(digest, [blankRow(digest, { ...row, event_ts: NOW_NS, role: huge })]);
    await assertAsExpected();
  });
});
