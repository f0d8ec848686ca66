import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Approval } from '@bintrail/schemas/approval.ts';
import type { Sighting } from '@bintrail/schemas/sighting.ts';
import { compileApprovals } from './approvals.ts';
import { corroborationOf } from './corroboration.ts';
import { judge } from './judge.ts';

const SHA256 = 'ab'.repeat(32);
const strong: Sighting = {
  ...{ workload: 'host', image: '', role: 'exec', sha256: SHA256, path: '/srv/a', package: '', package_version: '' },
  ...{ package_match: '', upper_layer: false, digest_strength: 'exact', digest_reason: '' },
};
const approval: Approval = {
  ...{ id: 'a1', revision: 1, match: { sha256: [SHA256] }, effect: 'allow', scope: { workload: '*' }, reason: 'ours' },
  ...{ author: 'ann', created_at: '2026-01-01T00:00:00Z', expires_at: null },
};
const approvals = compileApprovals([approval]);

function verdictOf(sighting: Sighting, others: readonly Sighting[], rules = approvals): string {
  return judge(sighting, rules, 0, corroborationOf([sighting, ...others])(sighting)).value;
}

test('evidence weak in its timing counts once the same content ran here with strong evidence', () => {
  for (const digest_strength of ['racy', 'metadata'] as const) {
    const weak = { ...strong, digest_strength, path: '/elsewhere' };
    assert.equal(verdictOf(weak, []), 'unapproved');
    assert.equal(verdictOf(weak, [strong]), 'approved');
    assert.match(judge(weak, approvals, 0, true).why, /weak/);
  }
});

test('other content, another workload, or other weak evidence corroborates nothing', () => {
  const weak: Sighting = { ...strong, digest_strength: 'racy' };
  assert.equal(verdictOf(weak, [{ ...strong, sha256: 'cd'.repeat(32) }]), 'unapproved');
  assert.equal(verdictOf(weak, [{ ...strong, workload: 'systemd/other' }]), 'unapproved');
  assert.equal(verdictOf(weak, [{ ...weak, digest_strength: 'metadata' }]), 'unapproved');
});

test('what could be written while it was read is never approved, nor a corroborated digest without an approval', () => {
  assert.equal(verdictOf({ ...strong, digest_strength: 'writable' }, [strong]), 'unapproved');
  assert.equal(verdictOf({ ...strong, digest_strength: 'racy' }, [strong], compileApprovals([])), 'unapproved');
});

test('a deny rule stands, corroborated or not', () => {
  const denied = compileApprovals([approval, { ...approval, id: 'd1', effect: 'deny' }]);
  assert.equal(verdictOf({ ...strong, digest_strength: 'racy' }, [strong], denied), 'denied');
});
