import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Plan } from '@bintrail/runtime/bus.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { type BatchHeader, encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { blankRow, headerArbitrary } from '@bintrail/schemas/event-rows.fixture.ts';
import { exit } from '@bintrail/schemas/exit.ts';
import fc from 'fast-check';
import { createStoreEvents } from './events-stage.ts';
import { createFindEarlier, messageKey } from './repeats.ts';
import { HEADER, openTestStore, planOf, type TestStore } from './store.fixture.ts';

const message = (header: BatchHeader) => encodeBatch(exit, header, [blankRow(exit)]);
const numbered = (...seqs: number[]) => seqs.map((batchSeq) => message({ ...HEADER, batchSeq }));

describe('createFindEarlier', () => {
  let test: TestStore;
  let buses = 0;
  before(async () => {
    test = await openTestStore();
  });
  after(() => test.close());

  const freshBus = () => {
    buses += 1;
    return `bus ${buses}`;
  };
  const earlierSeqs = async (plan: Plan) => {
    const keys = await createFindEarlier(test.store)(plan);
    return [...keys].map((key) => Number(key.split('\0')[3])).sort((a, b) => a - b);
  };

  it('finds what stands at lower offsets, and nothing of the plan itself or later ones', async () => {
    const busId = freshBus();
    const first = planOf(numbered(0, 1, 2), { busId });
    const second = planOf(numbered(2, 3, 1), { busId, from: 3 });
    assert.deepEqual(await earlierSeqs(first), []);
    await createStoreEvents(test.store)(first);
    assert.deepEqual(await earlierSeqs(first), []);
    assert.deepEqual(await earlierSeqs(second), [1, 2]);
    await createStoreEvents(test.store)(second);
    await createStoreEvents(test.store)(planOf(numbered(3, 0), { busId, from: 6 }));
    assert.deepEqual(await earlierSeqs(first), []);
    assert.deepEqual(await earlierSeqs(second), [1, 2]);
  });

  it('keeps buses, topics and partitions apart', async () => {
    const busId = freshBus();
    await createStoreEvents(test.store)(planOf(numbered(0), { busId }));
    const later = planOf(numbered(0), { busId, from: 1 });
    assert.deepEqual(await earlierSeqs(later), [0]);
    assert.deepEqual(await earlierSeqs({ ...later, busId: freshBus() }), []);
    assert.deepEqual(await earlierSeqs({ ...later, topic: 'other' }), []);
    assert.deepEqual(await earlierSeqs({ ...later, partition: 1 }), []);
  });

  it('looks back no further than the store surely keeps', async () => {
    const busId = freshBus();
    const dayMs = 24 * 3600 * 1000;
    await createStoreEvents(test.store)(planOf(numbered(0), { busId, atMs: Date.now() - 61 * dayMs }));
    await createStoreEvents(test.store)(planOf(numbered(1), { busId, from: 1, atMs: Date.now() - 59 * dayMs }));
    assert.deepEqual(await earlierSeqs(planOf(numbered(0, 1), { busId, from: 2 })), [1]);
  });

  it('finds any names and numbers a header may have, and tells them from others', async () => {
    const headers = fc.uniqueArray(headerArbitrary, { minLength: 2, maxLength: 8, selector: messageKey });
    const property = fc.asyncProperty(headers, async ([unknown, ...known]) => {
      const busId = freshBus();
      const stored = planOf(known.map(message), { busId });
      await createStoreEvents(test.store)(stored);
      const asked = planOf([unknown!, ...known].map(message), { busId, from: stored.to });
      const found = await createFindEarlier(test.store)(asked);
      assert.deepEqual([...found].sort(), known.map(messageKey).sort());
    });
    await fc.assert(property, { numRuns: 30 });
  });

  it('asks for thousands of messages with the longest names', async () => {
    const busId = freshBus();
    const node = 'ü'.repeat(128);
    const messages = Array.from({ length: 2100 }, (_, batchSeq) => message({ ...HEADER, node, boot: node, batchSeq }));
    await createStoreEvents(test.store)(planOf(messages, { busId }));
    const found = await createFindEarlier(test.store)(planOf(messages, { busId, from: messages.length }));
    assert.equal(found.size, messages.length);
  });

  it('asks nothing for messages above all it has seen of their run', async () => {
    let queries = 0;
    const counting: Store = {
      ...test.store,
      query: (...args) => {
        queries += 1;
        return test.store.query(...args);
      },
    };
    const find = createFindEarlier(counting);
    const asked = async (plan: Plan) => {
      queries = 0;
      await find(plan);
      return queries;
    };
    const busId = freshBus();
    assert.equal(await asked(planOf(numbered(4, 5, 6), { busId })), 1);
    assert.equal(await asked(planOf(numbered(9, 7), { busId, from: 3 })), 0);
    assert.equal(await asked(planOf(numbered(8), { busId, from: 5 })), 1);
    assert.equal(await asked(planOf(numbered(10), { busId, from: 6 })), 0);
    assert.equal(await asked(planOf(numbered(10), { busId, from: 6 })), 1);
  });

  it('learns anew what others stored meanwhile', async () => {
    const busId = freshBus();
    const find = createFindEarlier(test.store);
    const plans = [[0], [1, 2, 3], [2, 4]].map((seqs, index) => planOf(numbered(...seqs), { busId, from: index * 10 }));
    const ending = plans.map((plan) => ({ ...plan, to: plan.from + 10 }));
    assert.deepEqual(await find(ending[0]!), new Set());
    for (const plan of ending.slice(0, 2)) await createStoreEvents(test.store)(plan);
    assert.deepEqual(await find(ending[2]!), new Set([messageKey({ ...HEADER, batchSeq: 2 })]));
  });

  it('passes over records that are no messages', async () => {
    assert.deepEqual(await earlierSeqs(planOf([Buffer.from('x')], { busId: freshBus() })), []);
  });
});
