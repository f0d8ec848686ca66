import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { findingCounts } from '../finding-counts.ts';
import { ago, type FindingsApi, fresh, hex, NO_DIGEST, openFindings } from '../findings.fixture.ts';

/** A first sight outside containers. */
const NO_CONTAINER = { node: 'node-b', ts_ns: '0', evidence: {} };

let f: FindingsApi;

before(async () => {
  f = await openFindings();
});
after(() => f.stop());

describe('one finding', () => {
  it('shows rule, evidence, the process and its ancestors', async () => {
    const parent = {
      pid: 70_001,
      start_ns: 1n,
      path: '/usr/bin/bash',
      argv: 'bash\0-l\0',
      ts: ago(1),
      sha256: fresh(),
    };
    const child = { parent_pid: 70_001, parent_start_ns: 1n, parent_self_exec_id: 1, ppid: 70_001, ts: ago(1) };
    const sha256 = fresh();
    const findings = await f.feed.exec([
      parent,
      { ...child, sha256, path: '/opt/x', argv: '/opt/x\0--fast\0', uid: 33 },
    ]);
    const finding = await f.get(findings.find((candidate) => candidate.path === '/opt/x')!.finding_id);
    assert.equal(finding.rule, 'unapproved-binary');
    assert.equal(finding.severity, 'medium');
    assert.equal(finding.state, 'open');
    assert.equal(finding.sha256, hex(sha256));
    assert.equal(finding.path, '/opt/x');
    assert.equal(finding.workload, 'systemd/nginx.service');
    assert.deepEqual(finding.exec.argv, ['/opt/x', '--fast']);
    assert.equal(finding.exec.uid, 33);
    assert.equal(finding.exec.cwd, '/srv');
    assert.equal(finding.exec.ancestors[0].path, '/usr/bin/bash');
    assert.equal(finding.verdict.value, 'unapproved');
    assert.deepEqual(finding.verdict.verdicts, { denied: 0, unapproved: 1, unknown: 0, explained: 0, approved: 0 });
    assert.equal(finding.evidence.digest.strength, 'exact');
    assert.equal(finding.evidence.exec, undefined);
  });

  it('reads count, nodes and times from the sightings of its digest in its workload', async () => {
    const { id, facts } = await f.one({ ts: ago(5) }, 'node-b');
    await f.feed.exec([
      { ...facts, ts: ago(2) },
      { ...facts, ts: ago(30) },
      { ...facts, path: '/elsewhere', ts: ago(3) },
    ]);
    await f.feed.exec([{ ...facts, workload: 'systemd/other.service', ts: ago(0) }]);
    const finding = await f.get(id);
    assert.equal(finding.count, 4);
    assert.deepEqual(finding.nodes, ['node-a', 'node-b']);
    assert.equal(finding.node_count, 2);
    assert.equal(Date.parse(finding.first_seen), Number(ago(30) / 1_000_000n));
    assert.equal(Date.parse(finding.last_seen), Number(ago(2) / 1_000_000n));
    assert.match(finding.first_seen, /\.\d{9}Z$/);
    const asked = {
      rule: finding.rule,
      workload: finding.workload,
      subject: `sha256:${finding.sha256}`,
      ...NO_CONTAINER,
    };
    const counts = await findingCounts(f.parts.store)(asked);
    assert.deepEqual(counts, { count: 4, nodes: 2, firstNs: ago(30) }, 'an alert says the same');
  });

  it('counts a library by its path as often as it was mapped while writable', async () => {
    const path = '/opt/kept-open.so';
    const writable = { path, role: 'library', digest_source: 'map_files', digest_strength: 'writable', ts: ago(1) };
    const [finding] = await f.feed.load([{ ...writable, sha256: fresh() }]);
    assert.equal(finding!.rule, 'library-writable-while-mapped');
    await f.feed.load([
      { ...writable, sha256: fresh(), repeats: 4 },
      { ...writable, sha256: fresh(), digest_strength: 'exact' },
    ]);
    assert.equal((await f.get(finding!.finding_id)).count, 6);
  });

  it('counts a tampered file by its path, whatever its content became', async () => {
    const path = '/usr/sbin/nginx';
    const tampered = { path, package: 'deb:nginx:amd64', package_version: '1', package_match: 'mismatch', ts: ago(1) };
    const [finding] = await f.feed.exec([{ ...tampered, sha256: fresh() }]);
    assert.equal(finding!.rule, 'tampered-package-file');
    await f.feed.exec([
      { ...tampered, sha256: fresh() },
      { ...tampered, sha256: fresh(), package_match: 'match' },
    ]);
    assert.equal((await f.get(finding!.finding_id)).count, 2);
  });

  it('counts a missing digest by its path and leaves pending ones out', async () => {
    const path = '/mnt/nfs/tool';
    const missing = {
      path,
      sha256: '',
      digest_source: '',
      digest_strength: '',
      digest_reason: 'remote_fs',
      ts: ago(1),
    };
    const [finding] = await f.feed.exec([missing]);
    assert.equal(finding!.rule, 'hash-missing');
    await f.feed.exec([missing, { ...missing, digest_reason: 'pending' }, { ...missing, path: '/mnt/nfs/other' }]);
    await f.feed.exec([
      { ...missing, sha256: fresh(), digest_source: 'held', digest_strength: 'exact', digest_reason: '' },
    ]);
    const shown = await f.get(finding!.finding_id);
    assert.equal(shown.count, 2);
    assert.equal(shown.verdict.value, 'unknown');
    assert.equal(shown.sha256, null);
  });

  it('finds sightings of names that are no UTF-8, or hold escapes themselves', async () => {
    const names = [Buffer.from([0x2f, 0xff, 0xfe, 0x0a]).toString('latin1'), '/opt/\\x2dtool', '/opt/ä'.normalize()];
    for (const [index, path] of names.entries()) {
      const bytes = index === 2 ? Buffer.from(path).toString('latin1') : path;
      const missing = { ...NO_DIGEST, path: bytes };
      const workload = 'systemd/dev-disk\\x2dby.service';
      const [finding] = await f.feed.exec([{ ...missing, workload, ts: ago(1) }]);
      await f.feed.exec([{ ...missing, workload, ts: ago(0) }]);
      const shown = await f.get(finding!.finding_id);
      assert.equal(shown.count, 2, shown.path);
      assert.equal(shown.path, index === 0 ? '/\\xff\\xfe\\x0a' : path);
    }
  });

  it('stands on its evidence until its sightings are stored', async () => {
    const facts = { ts: ago(1), sha256: fresh() };
    const [finding] = await f.feed.exec([facts], { store: 'findings', node: 'node-early' });
    const shown = await f.get(finding!.finding_id);
    assert.equal(shown.count, 1);
    assert.deepEqual(shown.nodes, ['node-early']);
    assert.equal(shown.state, 'open');
    assert.equal(shown.first_seen, shown.last_seen);
  });

  it('is a 404 when there is none, a 400 when the id is no id', async () => {
    assert.equal((await f.api.ask(`/v1/findings/${'0'.repeat(64)}`)).status, 404);
    assert.equal((await f.api.ask('/v1/findings/x')).status, 400);
    assert.equal((await f.api.ask(`/v1/findings/${'0'.repeat(64)}`, { role: null })).status, 401);
  });
});
