import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createLru } from './lru.ts';

describe('an LRU', () => {
  it('forgets what was neither set nor touched for longest', () => {
    const lru = createLru<string, number>(2);
    lru.set('a', 1);
    lru.set('b', 2);
    assert.equal(lru.touch('a'), 1);
    lru.set('c', 3);
    assert.deepEqual([lru.get('a'), lru.get('b'), lru.get('c'), lru.size], [1, undefined, 3, 2]);
  });

  it('is not moved by a look, and takes a new value as new', () => {
    const lru = createLru<string, number>(2);
    lru.set('a', 1);
    lru.set('b', 2);
    lru.get('a');
    lru.set('c', 3);
    lru.set('b', 4);
    lru.set('d', 5);
    assert.deepEqual([lru.get('a'), lru.get('b'), lru.get('c'), lru.get('d')], [undefined, 4, undefined, 5]);
  });

  it('forgets in the same order as a list that is searched, however much was deleted before', () => {
    const steps = fc.array(fc.tuple(fc.nat(30), fc.boolean()), { maxLength: 2_000, size: 'max' });
    fc.assert(
      fc.property(steps, (taken) => {
        const lru = createLru<number, number>(10);
        let model: number[] = [];
        for (const [key, isTouch] of taken) {
          if (isTouch) lru.touch(key);
          else lru.set(key, key);
          if (isTouch && !model.includes(key)) continue;
          model = [...model.filter((each) => each !== key), key].slice(-10);
        }
        const known = Array.from({ length: 31 }, (_, key) => key).filter((key) => lru.get(key) !== undefined);
        assert.deepEqual(
          known,
          model.toSorted((a, b) => a - b),
        );
      }),
    );
  });
});
