import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PolicyRecord } from '@bintrail/schemas/policy.ts';
import fc from 'fast-check';
import { judge } from './judge.ts';
import { applyPolicy, createPolicyView, type PolicyView, readPolicyRecord } from './policy-view.ts';
import { approvalOf, NOW_MS, sightingOf } from './sighting.kit.ts';

function approvalRecord(id: string, revision: number, deleted = false): PolicyRecord {
  return { kind: 'approval', revision, deleted, approval: approvalOf({ id, revision }) };
}

function actionRecord(finding_id: string, revision: number, episode = 1): PolicyRecord {
  return { kind: 'action', revision, finding_id, action: 'resolve', episode, at: '2026-03-01T12:00:00.000Z' };
}

const verdictOf = (view: PolicyView) => judge(sightingOf({}), view.approvals, NOW_MS);

describe('the policy view', () => {
  it('starts with nothing approved', () => {
    assert.equal(createPolicyView().revision, 0);
    assert.equal(verdictOf(createPolicyView()).value, 'unapproved');
  });

  it('follows an approval, its change and its withdrawal', () => {
    const given = applyPolicy(createPolicyView(), [approvalRecord('ap_1', 3)]);
    assert.deepEqual([given.revision, verdictOf(given).value], [3, 'approved']);
    const denied: PolicyRecord = {
      kind: 'approval',
      revision: 5,
      deleted: false,
      approval: approvalOf({ id: 'ap_1', revision: 5, effect: 'deny' }),
    };
    const changed = applyPolicy(given, [denied]);
    assert.deepEqual([changed.revision, verdictOf(changed).value], [5, 'denied']);
    const withdrawn = applyPolicy(changed, [approvalRecord('ap_1', 9, true)]);
    assert.deepEqual([withdrawn.revision, verdictOf(withdrawn).value], [9, 'unapproved']);
    assert.deepEqual([given.revision, verdictOf(given).value], [3, 'approved'], 'an earlier view stays as it was');
  });

  it('does not let an older record bring back what was withdrawn', () => {
    const view = applyPolicy(createPolicyView(), [approvalRecord('ap_1', 4, true), approvalRecord('ap_1', 3)]);
    assert.deepEqual([view.revision, verdictOf(view).value], [4, 'unapproved']);
  });

  it('keeps the newest action of a finding, and does not count it as a revision of the approvals', () => {
    const records = [actionRecord('f', 8, 2), actionRecord('f', 7, 1), actionRecord('g', 1)];
    const view = applyPolicy(createPolicyView(), records);
    assert.equal(view.actions.get('f')?.episode, 2);
    assert.equal(view.actions.get('g')?.episode, 1);
    assert.equal(view.revision, 0);
  });

  it('ends the same whatever the order, the repeats and the cuts of the records', () => {
    const record = fc.oneof(
      fc
        .tuple(fc.constantFrom('ap_1', 'ap_2'), fc.nat({ max: 9 }), fc.boolean())
        .map((parts) => approvalRecord(...parts)),
      fc.tuple(fc.constantFrom('f', 'g'), fc.nat({ max: 9 })).map((parts) => actionRecord(...parts)),
    );
    // A revision names one change: two records of one key and revision are the same.
    const key = (r: PolicyRecord) => `${r.kind} ${r.revision} ${r.kind === 'action' ? r.finding_id : r.approval.id}`;
    const records = fc.uniqueArray(record, { selector: key });
    fc.assert(
      fc.property(records, fc.func(fc.integer()), fc.nat(), (all, weight, cut) => {
        const shuffled = [...all, ...all].sort((a, b) => weight(key(a)) - weight(key(b)));
        const parts = [shuffled.slice(0, cut), shuffled.slice(cut)];
        assert.deepEqual(
          plain(parts.reduce(applyPolicy, createPolicyView())),
          plain(applyPolicy(createPolicyView(), all)),
        );
      }),
    );
  });
});

/** A view without the order in which its maps were filled. */
function plain(view: PolicyView): unknown {
  const sorted = (map: ReadonlyMap<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  return { ...view, actions: sorted(view.actions), approvalRecords: sorted(view.approvalRecords) };
}

describe('reading a policy record', () => {
  it('gives back what was written', () => {
    for (const record of [approvalRecord('ap_1', 2), actionRecord('f', 3)]) {
      assert.deepEqual(readPolicyRecord(Buffer.from(JSON.stringify(record))), record);
    }
  });

  it('refuses anything else without throwing', () => {
    const wrong = [
      '',
      'null',
      '{"kind":"approval"}',
      '{"kind":"action"',
      JSON.stringify({ ...actionRecord('f', 1), action: 'forget' }),
      JSON.stringify({ ...approvalRecord('ap_1', 1), approval: approvalOf({ match: { sha256: ['AB'] } }) }),
      JSON.stringify({ ...approvalRecord('ap_1', 1), approval: approvalOf({ expires_at: 'tomorrow' }) }),
    ];
    for (const text of wrong) assert.equal(readPolicyRecord(Buffer.from(text)), undefined, text);
    fc.assert(fc.property(fc.uint8Array(), (bytes) => assert.equal(readPolicyRecord(bytes), undefined)));
  });
});
