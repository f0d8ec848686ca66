import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SetupError } from './errors.ts';
import { decodeProgress, encodeProgress } from './kafka-plan.ts';

const plan = { bounds: { from: 5, to: 9, atMs: 1_700_000_000_123 }, oldestMs: 1_700_000_000_000 };

test('a plan reads back as it was committed, and fits into what Kafka keeps', () => {
  const metadata = encodeProgress('cluster.topic', { acked: 5, plan });
  assert(metadata.length < 4_096);
  assert.deepEqual(decodeProgress('cluster.topic', 5, metadata, 'g'), { acked: 5, plan });
  assert.deepEqual(decodeProgress('cluster.topic', 9, encodeProgress('cluster.topic', { acked: 9 }), 'g'), {
    acked: 9,
  });
});

test('nothing committed, a reset by kafkajs, and offsets of another log of that name count as nothing', () => {
  assert.equal(decodeProgress('a', -1, null, 'g'), undefined);
  assert.equal(decodeProgress('a', -2, '', 'g'), undefined);
  assert.equal(decodeProgress('a', 5, encodeProgress('b', { acked: 5, plan }), 'g'), undefined);
});

test('what somebody else committed is refused, as is a plan that is understood otherwise', () => {
  for (const metadata of [
    null,
    '',
    'x',
    '{}',
    '{"v":2,"bus":"a"}',
    '7',
    'null',
    '{"v":1,"bus":"a","to":9,"at":1,"rule":2}',
  ])
    assert.throws(() => decodeProgress('a', 5, metadata, 'g'), SetupError, String(metadata));
});
