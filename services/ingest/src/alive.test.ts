/** Looks at all processes, stored: when one is known whole, whatever is repeated, and what of it stays. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import { createStoreEvents } from './events-stage.ts';
import { HEADER, openTestStore, planOf, type TestStore } from './store.fixture.ts';

let test: TestStore;

before(async () => {
  test = await openTestStore();
});
after(() => test.close());

const NOW_NS = BigInt(Date.now()) * 1_000_000n;
const minute = (number: number) => NOW_NS + BigInt(number) * 60_000_000_000n;

function message(batchSeq: number, atMinute: number, images: number, pids: readonly number[]): Uint8Array {
  const rows = pids.map((pid) => ({ ts: minute(atMinute), images, pid, self_exec_id: 1, start_ns: BigInt(pid) }));
  return encodeBatch(EVENTS.alive, { ...HEADER, batchSeq }, rows);
}

it('counts a look whole once, in however many plans it came and however often each was tried', async () => {
  const plans = [
    planOf([message(0, 0, 3, [1, 2]), message(1, 0, 3, [3])], { from: 0 }),
    planOf([message(2, 1, 3, [1])], { from: 2 }),
    planOf([message(3, 1, 3, [2, 4]), message(4, 2, 9, [1])], { from: 3 }),
    // Sent again under a new offset by a probe that could not know.
    planOf([message(4, 2, 9, [1])], { from: 5 }),
  ];
  for (const plan of plans) {
    await createStoreEvents(test.store)(plan);
    await createStoreEvents(test.store)(plan);
  }
  const looks = await test.store.query<{ ns: string; of: number; got: string }>(
    `SELECT toUnixTimestamp64Nano(ts) AS ns, max(images) AS of, sum(stored) AS got FROM alive_looks
     GROUP BY probe_epoch, ts ORDER BY ns`,
  );
  assert.deepEqual(
    looks.map(({ ns, of, got }) => [BigInt(ns), of, Number(got)]),
    [
      [minute(0), 3, 3],
      [minute(1), 3, 3],
      [minute(2), 9, 1],
    ],
  );
  await test.store.command('OPTIMIZE TABLE alive_events FINAL');
  const rows = await test.store.query<{ pid: number; ns: string }>(
    'SELECT pid, toUnixTimestamp64Nano(ts) AS ns FROM alive_events ORDER BY pid',
  );
  const last = [2, 1, 0, 1].map((number, index) => [index + 1, minute(number)]);
  assert.deepEqual(
    rows.map(({ pid, ns }) => [pid, BigInt(ns)]),
    last,
    'one row of each image: when it was last alive',
  );
});
