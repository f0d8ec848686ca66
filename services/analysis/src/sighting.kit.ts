/** For tests: generators of sightings and approvals out of few values, so that rules hit, overlap and just miss. */
import type { Approval } from '@bintrail/schemas/approval.ts';
import { DIGEST_REASONS, DIGEST_STRENGTHS, PACKAGE_MATCHES, ROLES } from '@bintrail/schemas/digest-words.ts';
import { printable } from '@bintrail/schemas/printable.ts';
import type { Sighting } from '@bintrail/schemas/sighting.ts';
import fc from 'fast-check';

export const NOW_MS = Date.parse('2026-03-01T12:00:00Z');

export const SHA256 = ['a', 'b', 'c', 'd'].map((digit) => digit.repeat(64));
export const PACKAGES = ['dpkg:curl:amd64', 'dpkg:bash:amd64'];
const VERSIONS = ['8.5.0-1', '5.2-2'];

const WORKLOADS = ['host', 'systemd/nginx.service', 'systemd/n', 'container/docker/web', 'k8s/shop/deploy/cart/app'];
/** Bytes of paths: names that are no UTF-8, and names that look like the escapes those are shown with. */
const PATHS = ['/opt/a', '/opt/ab', '/opt/b/é', '/opt/b/😀', '/opt/\\x41', '/opt/\\xff'].map((path) =>
  Buffer.from(path),
);
PATHS.push(Buffer.from('/opt/\xff', 'latin1'), Buffer.from('/opt/\n'), Buffer.from('/opt/b/\u0085\ufeff'));

/** A sighting, and the bytes of its path that printable text stands for. */
export const rawSightings: fc.Arbitrary<{ sighting: Sighting; path: Uint8Array }> = fc
  .record({
    workload: fc.constantFrom(...WORKLOADS),
    image: fc.constantFrom('', 'sha256:1'),
    role: fc.constantFrom(...ROLES),
    path: fc.constantFrom(...PATHS),
    package: fc.constantFrom(...PACKAGES),
    package_version: fc.constantFrom(...VERSIONS),
    package_match: fc.constantFrom(...PACKAGE_MATCHES, '' as const),
    upper_layer: fc.boolean(),
    digest: fc.option(fc.tuple(fc.constantFrom(...SHA256), fc.constantFrom(...DIGEST_STRENGTHS, 'exact' as const))),
    digest_reason: fc.constantFrom(...DIGEST_REASONS),
  })
  .map(({ digest, path, ...rest }) => {
    const unowned = rest.package_match === '' ? { package: '', package_version: '' } : {};
    const content = { sha256: digest?.[0] ?? '', digest_strength: digest?.[1] ?? ('' as const) };
    const digest_reason = digest === null ? rest.digest_reason : ('' as const);
    return { path, sighting: { ...rest, ...content, ...unowned, digest_reason, path: printable(path) } };
  });

export const sightings: fc.Arbitrary<Sighting> = rawSightings.map(({ sighting }) => sighting);

const scopes = fc.constantFrom('*', 'host', 'systemd/*', 'systemd/n*', 'systemd/n', 'container/docker/web', 'k8s/*');
const plainPaths = fc.constantFrom('/opt/a', '/opt/a*', '/opt/b/*', '/opt/b/é', '/opt/b/😀*', '/opt/*', '*');
const oddPaths = fc.constantFrom(
  '/opt/\\x41',
  '/opt/\\xff',
  '/opt/\\*',
  '/opt/\\x0*',
  '/opt/\n',
  '/opt/b/\ud83d*',
  '/opt/b/\u0085*',
);

function matches(paths: fc.Arbitrary<string>): fc.Arbitrary<Approval['match']> {
  const version = fc.constantFrom(undefined, ...VERSIONS);
  return fc.oneof(
    fc.record({ sha256: fc.subarray(SHA256, { minLength: 1 }) }),
    fc.tuple(fc.constantFrom(...PACKAGES), version).map(([name, v]) => ({
      package: v === undefined ? { name } : { name, version: v },
    })),
    fc.record({ path: paths }),
  );
}

function approvalsOf(paths: fc.Arbitrary<string>): fc.Arbitrary<Approval> {
  return fc.record({
    id: fc.uuid(),
    revision: fc.integer({ min: 1, max: 5 }),
    match: matches(paths),
    effect: fc.constantFrom('allow' as const, 'allow' as const, 'deny' as const),
    scope: fc.record({ workload: scopes }),
    reason: fc.constant('as agreed'),
    author: fc.constant('ana'),
    created_at: fc.constant('2026-01-01T00:00:00.000Z'),
    expires_at: fc.constantFrom(null, null, '2026-02-28T12:00:00Z', '2026-03-01T12:00:00Z', '2026-03-01T12:00:00.001Z'),
  });
}

/** Approvals, also with paths that the store cannot compare exactly. */
export const approvals = approvalsOf(fc.oneof(plainPaths, oddPaths));
/** Approvals whose paths have no backslash or control character. */
export const plainApprovals = approvalsOf(plainPaths);

/** A sighting that nothing speaks for; what a case is about is handed in. */
export function sightingOf(part: Partial<Sighting>): Sighting {
  const content = { sha256: SHA256[0]!, digest_strength: 'exact' as const, digest_reason: '' as const };
  const owner = { package: '', package_version: '', package_match: '' as const };
  const place = { workload: 'systemd/nginx.service', image: '', role: 'exec' as const, path: '/opt/a' };
  return { ...place, ...content, ...owner, upper_layer: false, ...part };
}

export function approvalOf(part: Partial<Approval>): Approval {
  return {
    id: 'ap_1',
    revision: 1,
    match: { sha256: [SHA256[0]!] },
    effect: 'allow',
    scope: { workload: '*' },
    reason: 'as agreed',
    author: 'ana',
    created_at: '2026-01-01T00:00:00.000Z',
    expires_at: null,
    ...part,
  };
}
