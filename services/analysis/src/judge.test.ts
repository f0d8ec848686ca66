import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { Approval } from '@bintrail/schemas/approval.ts';
import { type Sighting, VERDICTS, type VerdictValue } from '@bintrail/schemas/sighting.ts';
import fc from 'fast-check';
import { compileApprovals } from './approvals.ts';
import { judge } from './judge.ts';
import { approvalOf, approvals, NOW_MS, PACKAGES, SHA256, sightingOf, sightings } from './sighting.kit.ts';

const CURL = { package: PACKAGES[0]!, package_version: '8.5.0-1' };
const MATCH = { ...CURL, package_match: 'match' } as const;
const NO_DIGEST = { sha256: '', digest_strength: '' } as const;
const BY_DIGEST = approvalOf({});
const BY_PACKAGE = approvalOf({ match: { package: { name: CURL.package } } });
const BY_PATH = approvalOf({ match: { path: '/opt/*' }, scope: { workload: 'systemd/*' } });
const deny = (approval: Approval): Approval => ({ ...approval, id: 'ap_deny', effect: 'deny' });

type Case = { name: string; sighting: Partial<Sighting>; by?: Approval[]; value: VerdictValue; why: RegExp };

const CASES: Case[] = [
  { name: 'nothing speaks for it', sighting: {}, value: 'unapproved', why: /No approval .* no package owns its path/ },
  { name: 'approved digest', sighting: {}, by: [BY_DIGEST], value: 'approved', why: /ap_1 by ana .*digest.*as agreed/ },
  { name: 'approved by path', sighting: {}, by: [BY_PATH], value: 'approved', why: /path \/opt\/\*.*systemd\/\*/ },
  { name: 'approved package', sighting: MATCH, by: [BY_PACKAGE], value: 'approved', why: /package dpkg:curl:amd64/ },
  {
    name: 'approved package in another version',
    sighting: { ...MATCH, package_match: 'match' },
    by: [approvalOf({ match: { package: { name: CURL.package, version: '9' } } })],
    value: 'explained',
    why: /matches the checksum/,
  },
  {
    name: 'approved package without a recorded checksum',
    sighting: { ...CURL, package_match: 'no_record' },
    by: [BY_PACKAGE],
    value: 'unapproved',
    why: /records no checksum/,
  },
  {
    name: 'approved package, other content',
    sighting: { ...CURL, package_match: 'mismatch' },
    by: [BY_PACKAGE],
    value: 'unapproved',
    why: /differs from the checksum that package dpkg:curl:amd64 8\.5\.0-1 records for \/opt\/a/,
  },
  {
    name: 'approved package, by a database that its container could have written',
    sighting: { ...CURL, package_match: 'claimed' },
    by: [BY_PACKAGE],
    value: 'unapproved',
    why: /dpkg:curl:amd64 8\.5\.0-1 by a database that its container could have written/,
  },
  {
    name: 'a database that could not be asked',
    sighting: { package_match: 'unread' },
    value: 'unapproved',
    why: /package database of its root could not be asked/,
  },
  { name: 'explained', sighting: MATCH, value: 'explained', why: /matches the checksum that package dpkg:curl/ },
  {
    name: 'explained on a host whose root is an overlay',
    sighting: { ...MATCH, upper_layer: true },
    value: 'explained',
    why: /matches the checksum/,
  },
  ...['container/docker/web', 'k8s/shop/deploy/cart/app'].map(
    (workload): Case => ({
      name: `installed at run time into ${workload}`,
      sighting: { ...MATCH, upper_layer: true, workload },
      by: [BY_PACKAGE],
      value: 'unapproved',
      why: /written into the container after its image was built/,
    }),
  ),
  {
    name: 'same content at a path the package does not own',
    sighting: { path: '/tmp/curl' },
    by: [BY_PACKAGE],
    value: 'unapproved',
    why: /no package owns its path/,
  },
  { name: 'no digest', sighting: { ...NO_DIGEST, digest_reason: 'too_large' }, value: 'unknown', why: /too_large, / },
  { name: 'pending', sighting: { ...NO_DIGEST, digest_reason: 'pending' }, value: 'unknown', why: /pending, / },
  { name: 'no digest and no reason', sighting: NO_DIGEST, value: 'unknown', why: /no reason was recorded/ },
  {
    name: 'a reason of a newer probe',
    sighting: { ...NO_DIGEST, digest_reason: 'sealed' as 'timeout' },
    value: 'unknown',
    why: /^No digest: sealed\.$/,
  },
  {
    name: 'no digest, path approved',
    sighting: { ...NO_DIGEST, digest_reason: 'too_large' },
    by: [BY_PATH],
    value: 'unknown',
    why: /too_large/,
  },
  {
    name: 'no digest, path denied',
    sighting: { ...NO_DIGEST, digest_reason: 'too_large' },
    by: [BY_PATH, deny(BY_PATH)],
    value: 'denied',
    why: /Denied by rule ap_deny/,
  },
  {
    name: 'no digest, package denied',
    sighting: { ...NO_DIGEST, ...CURL, digest_reason: 'timeout' },
    by: [deny(BY_PACKAGE)],
    value: 'denied',
    why: /package dpkg:curl:amd64/,
  },
  ...(['metadata', 'racy', 'writable'] as const).flatMap((digest_strength): Case[] => [
    { name: digest_strength, sighting: { digest_strength }, value: 'unapproved', why: new RegExp(digest_strength) },
    {
      name: `${digest_strength}, digest approved`,
      sighting: { digest_strength },
      by: [BY_DIGEST],
      value: 'unapproved',
      why: new RegExp(`${digest_strength}.*rule ap_1 cannot approve`),
    },
    {
      name: `${digest_strength}, package matches`,
      sighting: { ...MATCH, digest_strength },
      value: 'unapproved',
      why: new RegExp(`${digest_strength}.*package dpkg:curl:amd64 8\\.5\\.0-1 cannot explain`),
    },
    {
      name: `${digest_strength}, digest denied`,
      sighting: { digest_strength },
      by: [deny(BY_DIGEST)],
      value: 'denied',
      why: /digest/,
    },
  ]),
  { name: 'alive', sighting: { digest_strength: 'alive' }, by: [BY_DIGEST], value: 'approved', why: /ap_1/ },
  {
    name: 'denied everywhere, allowed in exactly this workload',
    sighting: {},
    by: [deny(BY_DIGEST), approvalOf({ scope: { workload: 'systemd/nginx.service' } })],
    value: 'denied',
    why: /every workload/,
  },
  {
    name: 'out of scope',
    sighting: { workload: 'host' },
    by: [BY_PATH, approvalOf({ scope: { workload: 'hos' } })],
    value: 'unapproved',
    why: /No approval/,
  },
];

describe('judge', () => {
  for (const { name, sighting, by = [], value, why } of CASES) {
    it(`${name}: ${value}`, () => {
      const verdict = judge(sightingOf(sighting), compileApprovals(by), NOW_MS);
      assert.equal(verdict.value, value);
      assert.match(verdict.why, why);
      const decisive = value === 'denied' ? 'ap_deny' : value === 'approved' ? 'ap_1' : null;
      assert.equal(verdict.approval_id, decisive);
    });
  }

  it('counts a rule until the instant of its expiry', () => {
    const by = compileApprovals([approvalOf({ expires_at: '2026-03-01T13:00:00+01:00' })]);
    assert.equal(judge(sightingOf({}), by, NOW_MS - 1).value, 'approved');
    assert.equal(judge(sightingOf({}), by, NOW_MS).value, 'unapproved');
  });

  it('takes the narrowest scope, then the newest revision, then the lower id', () => {
    const scoped = (id: string, workload: string, revision = 1) => approvalOf({ id, revision, scope: { workload } });
    const order = [
      scoped('exact', 'systemd/nginx.service'),
      scoped('long', 'systemd/nginx*'),
      scoped('short', 'systemd/*'),
      scoped('newer', '*', 3),
      scoped('older-a', '*', 2),
      scoped('older-b', '*', 2),
    ];
    for (let first = 0; first < order.length; first++) {
      const by = compileApprovals(order.slice(first).reverse());
      assert.equal(judge(sightingOf({}), by, NOW_MS).approval_id, order[first]!.id);
    }
  });

  it('keeps the sentence short', () => {
    const by = compileApprovals([approvalOf({ reason: 'x'.repeat(2000) })]);
    assert.ok(judge(sightingOf({}), by, NOW_MS).why.length < 300);
  });
});

/** The rules of design §9 read plainly: no index, no order, every rule looked at. */
function plainly(sighting: Sighting, all: readonly Approval[], atMs: number): VerdictValue {
  const covers = (written: string, value: string) =>
    written.endsWith('*') ? value.startsWith(written.slice(0, -1)) : value === written;
  const applies = ({ match, scope, expires_at: end }: Approval) => {
    if (!covers(scope.workload, sighting.workload) || (end !== null && Date.parse(end) <= atMs)) return false;
    if ('sha256' in match) return match.sha256.includes(sighting.sha256);
    if ('path' in match) return covers(match.path, sighting.path);
    const { name, version } = match.package;
    return name === sighting.package && (version === undefined || version === sighting.package_version);
  };
  const byImage = /^(container|k8s)\//.test(sighting.workload);
  const verified = sighting.package_match === 'match' && !(sighting.upper_layer && byImage);
  if (all.some((rule) => rule.effect === 'deny' && applies(rule))) return 'denied';
  if (sighting.sha256 === '') return 'unknown';
  if (!['exact', 'alive'].includes(sighting.digest_strength)) return 'unapproved';
  const allows = all.filter((rule) => rule.effect === 'allow' && applies(rule));
  if (allows.some(({ match }) => verified || !('package' in match))) return 'approved';
  return verified || sighting.role === 'setup' ? 'explained' : 'unapproved';
}

describe('judge, for any sighting and approvals', () => {
  const severity = (value: VerdictValue) => VERDICTS.indexOf(value);
  const rules = fc.array(approvals, { maxLength: 8 });
  const judged = (sighting: Sighting, all: readonly Approval[]) => judge(sighting, compileApprovals(all), NOW_MS);

  it('agrees with a plain reading of the rules', () => {
    fc.assert(
      fc.property(sightings, rules, (sighting, all) =>
        assert.equal(judged(sighting, all).value, plainly(sighting, all, NOW_MS)),
      ),
      { numRuns: 2000 },
    );
  });

  it('never improves by a deny, nor worsens by an allow', () => {
    fc.assert(
      fc.property(sightings, rules, approvals, (sighting, all, added) => {
        const [before, after] = [judged(sighting, all), judged(sighting, [...all, added])];
        if (added.effect === 'deny') assert.ok(severity(after.value) <= severity(before.value));
        else assert.ok(severity(after.value) >= severity(before.value));
      }),
    );
  });

  it('is the same without the rules that have expired, and in any order of the rest', () => {
    fc.assert(
      fc.property(sightings, rules, (sighting, all) => {
        const standing = all.filter(({ expires_at: end }) => end === null || Date.parse(end) > NOW_MS);
        assert.deepEqual(judged(sighting, standing.toReversed()), judged(sighting, all));
      }),
    );
  });

  it('names the rule of the narrowest scope', () => {
    const width = ({ scope: { workload } }: Approval) => (workload.endsWith('*') ? workload.length - 1 : Infinity);
    fc.assert(
      fc.property(sightings, rules, (sighting, all) => {
        const verdict = judged(sighting, all);
        if (verdict.approval_id === null) return;
        const named = all.find(({ id }) => id === verdict.approval_id)!;
        const narrower = all.filter((rule) => rule.effect === named.effect && width(rule) > width(named));
        for (const rule of narrower) assert.notEqual(judged(sighting, [rule]).value, verdict.value);
      }),
    );
  });
});

describe('what judge reads', () => {
  const migration = readFileSync(new URL('../../../schemas/migrations/0002_rollups.sql', import.meta.url), 'utf8');
  const [, key] = /CREATE TABLE sightings \([^;]*?\nORDER BY \(([^)]*)\)/.exec(migration)!;
  const columns = new Set(key!.split(', ').filter((column) => column !== 'hour'));

  it('is in the key of the sightings table, so that one row has one verdict', () => {
    const read = new Set<PropertyKey>();
    const refuse = () => assert.fail('judge enumerated a sighting: it must name what it reads');
    const watched = (sighting: Sighting) =>
      new Proxy(sighting, {
        get: (target, name) => {
          read.add(name);
          return Reflect.get(target, name);
        },
        has: refuse,
        ownKeys: refuse,
        getOwnPropertyDescriptor: refuse,
      });
    fc.assert(
      fc.property(sightings, fc.array(approvals, { maxLength: 8 }), (sighting, all) => {
        judge(watched(sighting), compileApprovals(all), NOW_MS);
      }),
      { numRuns: 1000 },
    );
    assert.deepEqual(
      [...read].filter((name) => !columns.has(String(name))),
      [],
    );
    for (const name of ['workload', 'sha256', 'path', 'upper_layer', 'digest_strength']) assert.ok(read.has(name));
  });

  it('could only be what a sighting is: each of its fields is in that key', () => {
    assert.deepEqual(Object.keys(sightingOf({ sha256: SHA256[1]! })).sort(), [...columns].sort());
  });
});
