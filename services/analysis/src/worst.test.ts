import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VERDICTS, type VerdictValue } from '@bintrail/schemas/sighting.ts';
import fc from 'fast-check';
import { worst } from './worst.ts';

const seen = (value: VerdictValue, n: number, why: string = value) => ({
  verdict: { value, why, approval_id: null },
  n,
});

describe('worst', () => {
  it('is the worst value, with the count of each', () => {
    const combined = worst([seen('approved', 900), seen('unapproved', 2), seen('explained', 5), seen('unapproved', 1)]);
    assert.equal(combined.value, 'unapproved');
    assert.deepEqual(combined.verdicts, { denied: 0, unapproved: 3, unknown: 0, explained: 5, approved: 900 });
  });

  it('shows the most frequent explanation of the worst value', () => {
    const combined = worst([
      seen('unknown', 2, 'vanished'),
      seen('unknown', 2, 'timeout'),
      seen('unknown', 1, 'timeout'),
    ]);
    assert.equal(combined.why, 'timeout');
  });

  it('leaves out keys that a late digest emptied', () => {
    assert.equal(worst([seen('unknown', 0), seen('unknown', -1), seen('approved', 1)]).value, 'approved');
    assert.deepEqual(worst([seen('denied', 0)]).value, 'unknown');
  });

  it('does not depend on the order', () => {
    const judged = fc.tuple(fc.constantFrom(...VERDICTS), fc.integer({ min: -1, max: 3 }), fc.constantFrom('a', 'b'));
    fc.assert(
      fc.property(fc.array(judged), (rows) => {
        const all = rows.map(([value, n, why]) => seen(value, n, why));
        assert.deepEqual(worst(all.toReversed()), worst(all));
      }),
    );
  });
});
