import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { createStoreEvents } from '@bintrail/ingest/events-stage.ts';
import { openTestStore, planOf, type TestStore } from '@bintrail/ingest/store.fixture.ts';
import type { Message } from '@bintrail/runtime/bus.ts';
import { createFleet } from './fleet.ts';

const OPTIONS = { nodes: 40, workloads: 12, startMs: Date.now() - 60_000, maxRows: 8 };
const EXECS = 6_000;

function everything(seed: number): {
  messages: Message[];
  account: ReturnType<ReturnType<typeof createFleet>['account']>;
} {
  const fleet = createFleet({ ...OPTIONS, seed });
  const messages = [...fleet.send(EXECS), ...fleet.finish()];
  return { messages, account: fleet.account() };
}

function fingerprint(messages: readonly Message[]): string {
  const hash = createHash('sha256');
  for (const { value } of messages) hash.update(value);
  return hash.digest('hex');
}

describe('a simulated fleet', () => {
  let test: TestStore;
  before(async () => {
    test = await openTestStore();
  });
  after(() => test.close());

  it('sends the same for the same seed, and something else for another', () => {
    assert.equal(fingerprint(everything(1).messages), fingerprint(everything(1).messages));
    assert.notEqual(fingerprint(everything(1).messages), fingerprint(everything(2).messages));
  });

  it('remembers exactly what the store then holds', async () => {
    const { messages, account } = everything(3);
    await createStoreEvents(test.store)(planOf(messages.map(({ value }) => value)));
    const counted = (table: string) => `(SELECT toUInt32(count()) FROM ${table}) AS ${table}`;
    const [stored] = await test.store.query(
      `SELECT ${['exec_events', 'exit_events', 'digest_events', 'batches'].map(counted).join(', ')}`,
    );
    const { execs, exits, late } = account;
    assert.deepEqual(stored, { exec_events: execs, exit_events: exits, digest_events: late, batches: messages.length });
    assert.equal(execs, EXECS);
    assert.equal(account.messages, messages.length);
    const rows = await test.store.query<{ workload: string; sha256: string; n: number }>(
      `SELECT workload, lower(hex(sha256)) AS sha256, toUInt32(sum(n)) AS n FROM sightings
       GROUP BY workload, sha256 HAVING n != 0`,
    );
    const seen = rows.map(({ workload, sha256, n }) => `${workload} ${sha256} ${n}`).sort();
    const sent = [...account.sightings].flatMap(([workload, digests]) =>
      [...digests].map(([sha256, n]) => `${workload} ${sha256} ${n}`),
    );
    assert.deepEqual(seen, sent.sort());
    assert.ok(late > EXECS / 100);
  });

  it('rolls out new bytes at the same paths', async () => {
    const [{ paths }] = (await test.store.query<{ paths: number }>(
      `SELECT toUInt32(count()) AS paths FROM (SELECT path FROM exec_events WHERE digest_reason = ''
       GROUP BY workload, path HAVING uniqExact(sha256) > 1 AND uniqExact(image) > 1)`,
    )) as [{ paths: number }];
    assert.ok(paths > 0);
  });
});
