import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { openTestApi, startParts, type TestApi, type TestParts } from '../api.fixture.ts';
import { createSendEvents, PENDING, type SendEvents } from '../events.fixture.ts';

let parts: TestParts;
let api: TestApi;
let send: SendEvents;

before(async () => {
  parts = await startParts();
  api = await openTestApi(parts, { requestsPerSecond: 1e9 });
  send = createSendEvents(parts.store);
});
after(async () => {
  await api.close();
  await parts.stop();
});

const HOUR_NS = 3_600_000_000_000n;
const ago = (hours: number) => BigInt(Date.now()) * 1_000_000n - BigInt(hours) * HOUR_NS;
const hex = (bytes: string) => Buffer.from(bytes, 'latin1').toString('hex');
const asBytes = (sha256: string) => Buffer.from(sha256, 'hex').toString('latin1');
let content = 0;
/** A digest that no other case uses, as a byte string. */
const fresh = () => asBytes((++content).toString(16).padStart(64, '0'));

async function list(query: string) {
  const { status, json, text } = await api.ask(`/v1/binaries?limit=1000&${query}`, { role: 'viewer' });
  assert.equal(status, 200, text);
  return json;
}
const digestsOf = async (query: string) =>
  (await list(query)).items.map(({ sha256 }: { sha256: string }) => sha256) as string[];
async function get(sha256: string, query = '') {
  const { status, json, text } = await api.ask(`/v1/binaries/${hex(sha256)}?${query}`, { role: 'viewer' });
  assert.equal(status, 200, text);
  return json;
}
async function approve(match: object, workload = '*', effect = 'allow') {
  const { status } = await api.ask('/v1/approvals', {
    body: { match, effect, scope: { workload }, reason: 'ours' },
  });
  assert.equal(status, 201);
}

describe('one binary', () => {
  it('puts all sightings of a content together', async () => {
    const sha256 = fresh();
    const owner = { package: 'dpkg:curl:amd64', package_version: '8', package_match: 'match' };
    await send('exec', [
      { sha256, path: '/usr/bin/curl', ...owner, ts: ago(30) },
      { sha256, path: '/usr/bin/curl', ...owner, ts: ago(2) },
    ]);
    await send('load', [{ sha256, path: '/srv/tool', workload: 'host', image: 'sha256:1' }], { node: 'node-b' });
    const binary = await get(sha256);
    assert.equal(binary.exec_count, 3);
    assert.deepEqual(binary.verdict.verdicts, { denied: 0, unapproved: 1, unknown: 0, explained: 2, approved: 0 });
    assert.equal(binary.verdict.value, 'unapproved');
    assert.deepEqual(binary.paths, ['/usr/bin/curl', '/srv/tool']);
    assert.equal(binary.path_count, 2);
    assert.deepEqual(binary.packages, [{ name: 'dpkg:curl:amd64', version: '8', match: 'match' }]);
    assert.deepEqual(binary.workloads, ['systemd/nginx.service', 'host']);
    assert.deepEqual(binary.nodes, ['node-a', 'node-b']);
    assert.deepEqual(binary.images, ['sha256:1']);
    assert.deepEqual(binary.roles, ['exec', 'script']);
    assert.deepEqual(binary.strengths, { exact: 3 });
    assert.equal(Math.round((Date.now() - Date.parse(binary.first_seen)) / 3_600_000), 30);
    assert.equal(Math.round((Date.now() - Date.parse(binary.last_seen)) / 3_600_000), 1);
    assert.equal(binary.policy_revision, api.deps.approvals.revision());
    assert.equal(binary.coverage.digest_ratio, 1);
  });

  it('flips its verdict with an approval, and back with a denial', async () => {
    const sha256 = fresh();
    await send('exec', [{ sha256 }]);
    assert.equal((await get(sha256)).verdict.value, 'unapproved');
    await approve({ sha256: [hex(sha256)] });
    const approved = await get(sha256);
    assert.equal(approved.verdict.value, 'approved');
    assert.ok(approved.verdict.approval_id !== null);
    assert.ok((await digestsOf('verdict=approved')).includes(hex(sha256)));
    assert.ok(!(await digestsOf('verdict=unapproved')).includes(hex(sha256)));
    await approve({ sha256: [hex(sha256)] }, 'systemd/*', 'deny');
    assert.equal((await get(sha256)).verdict.value, 'denied');
    assert.ok((await digestsOf('verdict=denied')).includes(hex(sha256)));
  });

  it('counts a late digest where it came to be known, and no process of before the probe', async () => {
    const sha256 = fresh();
    await send('exec', [{ ...PENDING, pid: 7, start_ns: 7n }]);
    await send('exec', [{ sha256, path: '/opt/before', flags: flagBit('snapshot') }]);
    assert.equal((await api.ask(`/v1/binaries/${hex(sha256)}`)).status, 404);
    await send('digest', [{ sha256, pid: 7, start_ns: 7n, role: 'exec' }]);
    const binary = await get(sha256);
    assert.equal(binary.exec_count, 1);
    assert.deepEqual(binary.paths, ['/opt/a']);
  });

  it('lets strong evidence speak for the weak of the same workload, whatever is asked for', async () => {
    const sha256 = fresh();
    await approve({ sha256: [hex(sha256)] });
    await send('exec', [{ sha256, digest_strength: 'racy' }]);
    assert.equal((await get(sha256)).verdict.value, 'unapproved');
    await send('exec', [{ sha256, workload: 'host', ts: ago(50) }], { node: 'node-b' });
    assert.equal((await get(sha256, 'node=node-a')).verdict.value, 'unapproved');
    await send('exec', [{ sha256, ts: ago(50) }], { node: 'node-b' });
    assert.deepEqual((await get(sha256, 'since=now-2h&node=node-a')).verdict.verdicts.approved, 1);
    assert.ok((await digestsOf('verdict=approved&since=now-2h&node=node-a')).includes(hex(sha256)));
    await send('exec', [{ sha256, digest_strength: 'writable' }]);
    assert.equal((await get(sha256)).verdict.value, 'unapproved');
  });

  it('shows names that are no UTF-8, and finds by them', async () => {
    const sha256 = fresh();
    const path = Buffer.from([0x2f, 0xff, 0x0a]).toString('latin1');
    await send('exec', [{ sha256, path, workload: Buffer.from('systemd/a\\x2db').toString('latin1') }]);
    const binary = await get(sha256, `workload=${encodeURIComponent('systemd/a\\x2db')}`);
    assert.deepEqual(binary.paths, ['/\\xff\\x0a']);
    assert.deepEqual(binary.workloads, ['systemd/a\\x2db']);
    assert.deepEqual(await digestsOf(`path=${encodeURIComponent('/\\xff\\x0a')}`), [hex(sha256)]);
    assert.deepEqual(await digestsOf(`path=${encodeURIComponent('/\\xff*')}`), [hex(sha256)]);
  });

  it('is not there when it was not seen, or not in what was asked for', async () => {
    assert.equal((await api.ask(`/v1/binaries/${'f'.repeat(64)}`)).status, 404);
    assert.equal((await api.ask('/v1/binaries/abc')).status, 400);
    const sha256 = fresh();
    await send('exec', [{ sha256 }]);
    assert.equal((await get(sha256, 'workload=systemd%2Fnginx.service')).exec_count, 1);
    assert.equal((await api.ask(`/v1/binaries/${hex(sha256)}?workload=host`)).status, 404);
    assert.equal((await api.ask(`/v1/binaries/${hex(sha256)}?node=other`)).status, 404);
  });
});
