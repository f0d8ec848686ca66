import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { RULES, UNJUDGED_RULES } from '@bintrail/schemas/finding.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import type { Sighting } from '@bintrail/schemas/sighting.ts';
import fc from 'fast-check';
import { compileApprovals } from './approvals.ts';
import { judge } from './judge.ts';
import { FINDING_RULES, findings } from './rules.ts';
import { approvalOf, approvals, NOW_MS, PACKAGES, SHA256, sightingOf, sightings } from './sighting.kit.ts';

const MEMFD = flagBit('memfd');
const ALLOW = approvalOf({});
const DENY = approvalOf({ effect: 'deny' });
const CURL = { package: PACKAGES[0]!, package_version: '1' };
const MISMATCH = { ...CURL, package_match: 'mismatch' } as const;
const MATCH = { ...CURL, package_match: 'match' } as const;
const absent = (digest_reason: Sighting['digest_reason']) =>
  ({ sha256: '', digest_strength: '', digest_reason }) as const;

const DROPPED = flagBit('dropped');
const SERVICE = { workload: 'systemd/app.service' };

function found(part: Partial<Sighting>, by = [] as (typeof ALLOW)[], flags = 0) {
  const sighting = sightingOf(part);
  return findings(sighting, judge(sighting, compileApprovals(by), NOW_MS), flags);
}

const CASES: [string, ReturnType<typeof found>, [string, string, string] | undefined][] = [
  ['unapproved program', found({}), ['unapproved-binary', 'medium', `sha256:${SHA256[0]}`]],
  ['unapproved script', found({ role: 'script' }), ['unapproved-binary', 'medium', `sha256:${SHA256[0]}`]],
  ['unapproved library', found({ role: 'library' }), ['unapproved-binary', 'medium', `sha256:${SHA256[0]}`]],
  ['unapproved loader', found({ role: 'loader' }), ['unapproved-binary', 'medium', `sha256:${SHA256[0]}`]],
  ['weak digest', found({ digest_strength: 'racy' }, [ALLOW]), ['unapproved-binary', 'medium', `sha256:${SHA256[0]}`]],
  ['approved', found({}, [ALLOW]), undefined],
  ['explained', found(MATCH), undefined],
  ['denied', found({}, [DENY, ALLOW]), ['denied-digest', 'critical', `sha256:${SHA256[0]}`]],
  ['denied and explained', found(MATCH, [DENY]), ['denied-digest', 'critical', `sha256:${SHA256[0]}`]],
  ['denied and tampered', found(MISMATCH, [DENY]), ['denied-digest', 'critical', `sha256:${SHA256[0]}`]],
  ['denied and fileless', found({}, [DENY], MEMFD), ['denied-digest', 'critical', `sha256:${SHA256[0]}`]],
  [
    'denied by path, no digest',
    found(absent('too_large'), [approvalOf({ effect: 'deny', match: { path: '/opt/a' } })]),
    ['denied-digest', 'critical', 'path:/opt/a'],
  ],
  ['tampered', found(MISMATCH), ['tampered-package-file', 'high', 'path:/opt/a']],
  [
    'tampered, weak digest',
    found({ ...MISMATCH, digest_strength: 'racy' }),
    ['tampered-package-file', 'high', 'path:/opt/a'],
  ],
  ['tampered, content approved', found(MISMATCH, [ALLOW]), undefined],
  [
    'writable library of a package',
    found({ ...MATCH, role: 'library', digest_strength: 'writable' }, [ALLOW]),
    ['library-writable-while-mapped', 'medium', 'path:/opt/a'],
  ],
  [
    'writable loader',
    found({ role: 'loader', digest_strength: 'writable' }),
    ['library-writable-while-mapped', 'medium', 'path:/opt/a'],
  ],
  [
    'writable program: no library',
    found({ digest_strength: 'writable' }),
    ['unapproved-binary', 'medium', `sha256:${SHA256[0]}`],
  ],
  ['fileless', found({}, [], MEMFD), ['fileless-exec', 'high', `sha256:${SHA256[0]}`]],
  ['fileless, no digest', found(absent('vanished'), [], MEMFD), ['fileless-exec', 'high', 'path:/opt/a']],
  ['fileless, content approved', found({}, [ALLOW], MEMFD), undefined],
  ['fileless, explained', found(MATCH, [], MEMFD), ['fileless-exec', 'high', `sha256:${SHA256[0]}`]],
  ['unlinked is no rule of its own', found({}, [ALLOW], flagBit('unlinked')), undefined],
  ['setuid', found({}, [], flagBit('setuid')), ['unapproved-binary', 'high', `sha256:${SHA256[0]}`]],
  ['setgid', found({}, [], flagBit('setgid')), ['unapproved-binary', 'high', `sha256:${SHA256[0]}`]],
  ['setuid, tampered', found(MISMATCH, [], flagBit('setuid')), ['tampered-package-file', 'critical', 'path:/opt/a']],
  ['setuid, denied', found({}, [DENY], flagBit('setuid')), ['denied-digest', 'critical', `sha256:${SHA256[0]}`]],
  ['setuid, no digest', found(absent('timeout'), [], flagBit('setuid')), ['hash-missing', 'medium', 'path:/opt/a']],
  ['setuid, approved', found({}, [ALLOW], flagBit('setuid')), undefined],
  ['dropped by a service', found(SERVICE, [], DROPPED), ['dropped-executable', 'high', `sha256:${SHA256[0]}`]],
  [
    'dropped in a container',
    found({ workload: 'container/podman/x', role: 'library' }, [], DROPPED),
    ['dropped-executable', 'high', `sha256:${SHA256[0]}`],
  ],
  [
    'dropped, no digest',
    found({ ...SERVICE, ...absent('vanished') }, [], DROPPED),
    ['dropped-executable', 'high', 'path:/opt/a'],
  ],
  [
    'dropped and tampered',
    found({ ...SERVICE, ...MISMATCH }, [], DROPPED),
    ['tampered-package-file', 'high', 'path:/opt/a'],
  ],
  ['dropped and approved', found(SERVICE, [approvalOf({ scope: { workload: '*' } })], DROPPED), undefined],
  ['dropped and explained', found({ ...SERVICE, ...MATCH }, [], DROPPED), undefined],
  [
    'dropped where people work',
    found({ workload: 'session/alice' }, [], DROPPED),
    ['unapproved-binary', 'medium', `sha256:${SHA256[0]}`],
  ],
  ['written by a service, by nobody of it', found(SERVICE), ['unapproved-binary', 'medium', `sha256:${SHA256[0]}`]],
  ['no digest', found(absent('timeout')), ['hash-missing', 'low', 'path:/opt/a']],
  ['no digest yet', found(absent('pending')), undefined],
];

describe('findings', () => {
  for (const [name, made, expected] of CASES) {
    it(`${name}: ${expected?.[0] ?? 'none'}`, () => {
      const [first] = made;
      assert.deepEqual(first && [first.rule, first.severity, first.subject], expected);
      assert.ok(made.length <= 1);
    });
  }

  it('tells all that one program drops in one workload as one alert', () => {
    const dropped = (sha256: string, workload: string, writer: string) => {
      const sighting = sightingOf({ sha256, workload });
      return findings(sighting, judge(sighting, compileApprovals([]), NOW_MS), DROPPED, writer)[0]!;
    };
    const [a, b] = [SHA256[0]!, SHA256[1]!];
    const first = dropped(a, 'systemd/ci.service', '/usr/bin/ld');
    const next = dropped(b, 'systemd/ci.service', '/usr/bin/ld');
    assert.notEqual(first.finding_id, next.finding_id);
    assert.equal(first.group_id, next.group_id);
    assert.notEqual(first.group_id, dropped(b, 'systemd/ci.service', '/usr/bin/curl').group_id);
    assert.notEqual(first.group_id, dropped(a, 'systemd/web.service', '/usr/bin/ld').group_id);
  });

  it('has one definition for each rule of the contract that speaks of something that ran', () => {
    const ofSightings = RULES.filter((rule) => !UNJUDGED_RULES.includes(rule));
    assert.deepEqual(FINDING_RULES.map(({ rule }) => rule).sort(), ofSightings.sort());
  });

  it('makes exactly one finding of each sighting that is denied or unapproved, and none of an approved one or of a runtime that sets up', () => {
    fc.assert(
      fc.property(sightings, fc.array(approvals), fc.nat({ max: 4095 }), (sighting, all, flags) => {
        const verdict = judge(sighting, compileApprovals(all), NOW_MS);
        const made = findings(sighting, verdict, flags);
        if (verdict.value === 'denied') assert.equal(made[0]?.rule, 'denied-digest');
        if (verdict.value === 'unapproved') assert.equal(made.length, sighting.role === 'setup' ? 0 : 1);
        if (verdict.value === 'approved') assert.equal(made.length, 0);
      }),
    );
  });

  it('names a finding by rule, rule version, workload and subject alone', () => {
    const [made] = found({});
    const hash = (parts: unknown[]) => createHash('sha256').update(JSON.stringify(parts)).digest('hex');
    const subject = `sha256:${SHA256[0]}`;
    assert.equal(made!.finding_id, hash(['unapproved-binary', 1, 'systemd/nginx.service', subject]));
    assert.equal(made!.group_id, hash(['unapproved-binary', 1, subject]));
    const [elsewhere] = found({ path: '/opt/b', image: 'sha256:2', role: 'script', upper_layer: true });
    assert.equal(elsewhere!.finding_id, made!.finding_id);
    const [other] = found({ workload: 'host' });
    assert.notEqual(other!.finding_id, made!.finding_id);
    assert.equal(other!.group_id, made!.group_id);
  });
});
