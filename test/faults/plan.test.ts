import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planDrills, QUICK, SERVICES } from './plan.ts';

test('a seed plans the same drills each time, and other ones than another seed', () => {
  assert.deepEqual(planDrills(7, 40, QUICK), planDrills(7, 40, QUICK));
  assert.notDeepEqual(planDrills(7, 40, QUICK), planDrills(8, 40, QUICK));
  assert.deepEqual(planDrills(7, 40, QUICK).slice(0, 5), planDrills(7, 5, QUICK));
});

test('twenty-one drills have every kind of fault, and kill every part', () => {
  for (const seed of [1, 2, 3]) {
    const drills = planDrills(seed, 21, QUICK);
    const kinds = new Set(drills.map(({ fault }) => fault.kind));
    assert.deepEqual([...kinds].sort(), ['kill', 'outbox', 'pause', 'rebalance', 'slack']);
    const killed = new Set(drills.flatMap(({ fault }) => (fault.kind === 'kill' ? [fault.target] : [])));
    assert.deepEqual([...killed].sort(), [...SERVICES, 'broker', 'clickhouse'].sort());
  }
});
