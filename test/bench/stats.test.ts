import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { missedBy } from './bench.ts';
import { alternate, quantile, ratios, single, summarize } from './stats.ts';

test('quantiles lie between the values as type 7 has them', () => {
  assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5);
  assert.equal(quantile([10, 20, 30], 0.95), 29);
  assert.equal(quantile([7], 0.99), 7);
  assert.throws(() => quantile([], 0.5), RangeError);
});

test('a summary does not depend on the order and is in order itself', () => {
  const values = fc.array(fc.double({ min: 0, max: 1e9, noNaN: true }), { minLength: 1 });
  fc.assert(
    fc.property(values, (array) => {
      const summary = summarize(array);
      assert.deepEqual(summarize(array.toReversed()), summary);
      assert.ok(summary.low <= summary.median && summary.median <= summary.high);
    }),
  );
});

test('pairs take turns at going first', async () => {
  const order: string[] = [];
  const run = (name: string) => async () => order.push(name);
  const { a, b } = await alternate(3, run('A'), run('B'));
  assert.equal(order.join(''), 'ABBAAB');
  assert.deepEqual(
    [a, b],
    [
      [1, 4, 5],
      [2, 3, 6],
    ],
  );
});

test('ratios are of what was measured beside each other', () => {
  assert.equal(ratios([10, 40], [10, 20]).median, 1.5);
});

test('an aim is missed by the share that is lacking or too much', () => {
  const figure = { what: 'x', unit: 'ms', value: single(150) };
  assert.equal(missedBy({ ...figure, aim: { of: 'value', op: '≤', value: 100 } }), 0.5);
  assert.equal(missedBy({ ...figure, aim: { of: 'value', op: '≥', value: 200 } }), 0.25);
  assert.equal(missedBy({ ...figure, aim: { of: 'value', op: '≤', value: 150 } }), undefined);
  assert.equal(missedBy({ ...figure, ratio: single(0.45), aim: { of: 'ratio', op: '≥', value: 0.9 } }), 0.5);
  assert.equal(missedBy(figure), undefined);
});
