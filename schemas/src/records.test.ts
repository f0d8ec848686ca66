import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { approvalInputSchema } from './approval.ts';
import { findingSchema } from './finding.ts';
import { policyRecordSchema } from './policy.ts';

const SHA = 'ab'.repeat(32);
const INPUT = { match: { sha256: [SHA] }, effect: 'allow', scope: { workload: '*' }, reason: 'built by us' };

const takes = (schema: { safeParse(value: unknown): { success: boolean } }, value: unknown) =>
  schema.safeParse(value).success;

describe('an approval as it is sent', () => {
  it('matches by digest, package or path, and does not expire unless it says so', () => {
    const matches = [
      INPUT.match,
      { package: { name: 'dpkg:bash:amd64' } },
      { package: { name: 'dpkg:bash:amd64', version: '5.2' } },
    ];
    for (const match of matches) assert.equal(approvalInputSchema.parse({ ...INPUT, match }).expires_at, null);
    const byPath = { ...INPUT, match: { path: '/opt/*' }, scope: { workload: 'host' } };
    assert.ok(takes(approvalInputSchema, { ...byPath, expires_at: '2026-11-23T10:00:00+01:00' }));
  });

  const wrong: Record<string, object> = {
    'no digest': { match: { sha256: [] } },
    'too many digests': { match: { sha256: Array(1001).fill(SHA) } },
    'a digest in capitals': { match: { sha256: [SHA.toUpperCase()] } },
    'two matchers': { match: { sha256: [SHA], path: '/x' } },
    'no matcher': { match: {} },
    'a path everywhere': { match: { path: '/opt/x' } },
    'an effect of its own': { effect: 'maybe' },
    'no scope': { scope: {} },
    'an empty workload': { scope: { workload: '' } },
    'a blank reason': { reason: '  ' },
    'a date without a zone': { expires_at: '2026-11-23T10:00:00' },
    'a key nobody knows': { author: 'me' },
  };
  for (const [what, facts] of Object.entries(wrong)) {
    it(`is refused with ${what}`, () => assert.ok(!takes(approvalInputSchema, { ...INPUT, ...facts })));
  }
});

describe('a policy record', () => {
  it('is an approval or an action on a finding', () => {
    const action = {
      kind: 'action',
      revision: 3,
      finding_id: SHA,
      action: 'resolve',
      episode: 1,
      at: '2026-11-23T10:00:00Z',
    };
    assert.ok(takes(policyRecordSchema, action));
    const kept = { ...INPUT, id: 'a', revision: 2, author: 'me', created_at: action.at, expires_at: null };
    assert.ok(takes(policyRecordSchema, { kind: 'approval', revision: 2, deleted: true, approval: kept }));
    assert.ok(!takes(policyRecordSchema, { ...action, kind: 'other' }));
    assert.ok(!takes(policyRecordSchema, { ...action, episode: -1 }));
    assert.ok(!takes(policyRecordSchema, { kind: 'approval', revision: 2, deleted: true }));
  });
});

describe('a finding', () => {
  it('with a time that is no number is refused, not thrown at', () => {
    const result = findingSchema.safeParse({ ts_ns: 'yesterday' });
    assert.equal(result.success, false);
    const { ts_ns } = findingSchema.shape;
    for (const digits of ['0', '9223372036854775807']) assert.ok(takes(ts_ns, digits));
    for (const digits of ['', '-1', '1.5', '9223372036854775808', '99999999999999999999'])
      assert.ok(!takes(ts_ns, digits));
  });
});
