import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createLine } from './line.ts';

test('the first is the one that waits for longest, whoever left and came back', () => {
  const steps = fc.array(fc.tuple(fc.nat(20), fc.constantFrom('add', 'remove', 'look')), {
    maxLength: 1_000,
    size: 'max',
  });
  fc.assert(
    fc.property(steps, (taken) => {
      const line = createLine<string>();
      let model: string[] = [];
      for (const [number, step] of taken) {
        const item = `${number}`;
        if (step === 'look') assert.equal(line.first(), model[0]);
        else if (step === 'remove') assert.equal(line.remove(item), model.includes(item));
        else line.add(item);
        if (step === 'remove') model = model.filter((each) => each !== item);
        if (step === 'add' && !model.includes(item)) model.push(item);
        assert.equal(line.size(), model.length);
      }
      assert.equal(line.first(), model[0]);
    }),
  );
});
