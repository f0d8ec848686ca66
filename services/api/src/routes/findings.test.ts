import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { flagBit } from '@bintrail/schemas/flags.ts';
import type { PolicyRecord } from '@bintrail/schemas/policy.ts';
import { openTestApi, startParts, type TestApi, type TestParts } from '../api.fixture.ts';
import { createApp } from '../app.ts';
import { createFeed, type ExecFacts, type Feed } from '../feed.fixture.ts';
import { POLICY_TOPIC } from '../policy-publisher.ts';

let parts: TestParts;
let api: TestApi;
let feed: Feed;

before(async () => {
  parts = await startParts();
  api = await openTestApi(parts);
  feed = createFeed(parts.store);
});
after(async () => {
  await api.close();
  await parts.stop();
});

const HOUR_NS = 3_600_000_000_000n;
const NOW_NS = BigInt(Date.now()) * 1_000_000n;
const ago = (hours: number) => NOW_NS - BigInt(hours) * HOUR_NS;
const time = (ns: bigint) => `${new Date(Number(ns / 1_000_000n)).toISOString().slice(0, 19)}Z`;

let content = 0;
/** A digest that no other case uses, as a byte string. */
const fresh = () => Buffer.from((++content).toString(16).padStart(64, '0'), 'hex').toString('latin1');
const hex = (bytes: string) => Buffer.from(bytes, 'latin1').toString('hex');

async function one(part: ExecFacts = {}, node?: string) {
  const facts = { ts: ago(1), sha256: fresh(), ...part };
  const [finding] = await feed.exec([facts], node === undefined ? {} : { node });
  assert.ok(finding !== undefined);
  return { id: finding.finding_id, sha256: hex(facts.sha256), facts };
}

const get = async (id: string) => (await api.ask(`/v1/findings/${id}`, { role: 'viewer' })).json;
const idsOf = async (query: string) => {
  const { status, json, text } = await api.ask(`/v1/findings?limit=1000&${query}`);
  assert.equal(status, 200, text);
  return json.items.map(({ id }: { id: string }) => id);
};
const resolve = (id: string, reason = 'rebuilt') =>
  api.ask(`/v1/findings/${id}/resolve`, { body: { reason }, role: 'analyst' });
const acknowledge = (id: string) => api.ask(`/v1/findings/${id}/acknowledge`, { body: {}, role: 'analyst' });

async function approve(part: object, scope = '*', effect = 'allow') {
  const body = { match: part, effect, scope: { workload: scope }, reason: 'ours' };
  const { status, json } = await api.ask('/v1/approvals', { body });
  assert.equal(status, 201);
  return json.id as string;
}

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
    const findings = await feed.exec([parent, { ...child, sha256, path: '/opt/x', argv: '/opt/x\0--fast\0', uid: 33 }]);
    const finding = await get(findings.find((candidate) => candidate.path === '/opt/x')!.finding_id);
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
    const { id, facts } = await one({ ts: ago(5) }, 'node-b');
    await feed.exec([
      { ...facts, ts: ago(2) },
      { ...facts, ts: ago(30) },
      { ...facts, path: '/elsewhere', ts: ago(3) },
    ]);
    await feed.exec([{ ...facts, workload: 'systemd/other.service', ts: ago(0) }]);
    const finding = await get(id);
    assert.equal(finding.count, 4);
    assert.deepEqual(finding.nodes, ['node-a', 'node-b']);
    assert.equal(finding.node_count, 2);
    assert.equal(Date.parse(finding.first_seen), Number(ago(30) / 1_000_000n));
    assert.equal(Date.parse(finding.last_seen), Number(ago(2) / 1_000_000n));
    assert.match(finding.first_seen, /\.\d{9}Z$/);
  });

  it('counts a tampered file by its path, whatever its content became', async () => {
    const path = '/usr/sbin/nginx';
    const tampered = { path, package: 'deb:nginx:amd64', package_version: '1', package_match: 'mismatch', ts: ago(1) };
    const [finding] = await feed.exec([{ ...tampered, sha256: fresh() }]);
    assert.equal(finding!.rule, 'tampered-package-file');
    await feed.exec([
      { ...tampered, sha256: fresh() },
      { ...tampered, sha256: fresh(), package_match: 'match' },
    ]);
    assert.equal((await get(finding!.finding_id)).count, 2);
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
    const [finding] = await feed.exec([missing]);
    assert.equal(finding!.rule, 'hash-missing');
    await feed.exec([missing, { ...missing, digest_reason: 'pending' }, { ...missing, path: '/mnt/nfs/other' }]);
    await feed.exec([
      { ...missing, sha256: fresh(), digest_source: 'held', digest_strength: 'exact', digest_reason: '' },
    ]);
    const shown = await get(finding!.finding_id);
    assert.equal(shown.count, 2);
    assert.equal(shown.verdict.value, 'unknown');
    assert.equal(shown.sha256, '');
  });

  it('finds sightings of names that are no UTF-8, or hold escapes themselves', async () => {
    const names = [Buffer.from([0x2f, 0xff, 0xfe, 0x0a]).toString('latin1'), '/opt/\\x2dtool', '/opt/ä'.normalize()];
    for (const [index, path] of names.entries()) {
      const bytes = index === 2 ? Buffer.from(path).toString('latin1') : path;
      const missing = { path: bytes, sha256: '', digest_source: '', digest_strength: '', digest_reason: 'vanished' };
      const workload = 'systemd/dev-disk\\x2dby.service';
      const [finding] = await feed.exec([{ ...missing, workload, ts: ago(1) }]);
      await feed.exec([{ ...missing, workload, ts: ago(0) }]);
      const shown = await get(finding!.finding_id);
      assert.equal(shown.count, 2, shown.path);
      assert.equal(shown.path, index === 0 ? '/\\xff\\xfe\\x0a' : path);
    }
  });

  it('stands on its evidence until its sightings are stored', async () => {
    const facts = { ts: ago(1), sha256: fresh() };
    const [finding] = await feed.exec([facts], { store: 'findings', node: 'node-early' });
    const shown = await get(finding!.finding_id);
    assert.equal(shown.count, 1);
    assert.deepEqual(shown.nodes, ['node-early']);
    assert.equal(shown.state, 'open');
    assert.equal(shown.first_seen, shown.last_seen);
  });

  it('is a 404 when there is none, a 400 when the id is no id', async () => {
    assert.equal((await api.ask(`/v1/findings/${'0'.repeat(64)}`)).status, 404);
    assert.equal((await api.ask('/v1/findings/x')).status, 400);
    assert.equal((await api.ask(`/v1/findings/${'0'.repeat(64)}`, { role: null })).status, 401);
  });
});

describe('state', () => {
  it('goes from open over acknowledged to resolved, each with its reason', async () => {
    const { id } = await one();
    const { json } = await api.ask(`/v1/findings/${id}/acknowledge`, { body: { reason: 'looking' } });
    assert.equal(json.state, 'acknowledged');
    assert.equal(json.last_action.reason, 'looking');
    const resolved = (await resolve(id)).json;
    assert.equal(resolved.state, 'resolved');
    assert.equal(resolved.resolved_by, 'action');
    assert.equal(resolved.last_action.actor, 'test-analyst');
    assert.deepEqual(await get(id), resolved);
  });

  it('is changed once by a request that is repeated', async () => {
    const { id } = await one();
    for (const repeat of [acknowledge, acknowledge, resolve, resolve, acknowledge]) {
      assert.equal((await repeat(id)).status, 200);
    }
    assert.equal((await get(id)).state, 'resolved');
    const audit = (await api.ask(`/v1/audit?object=finding:${id}`)).json.items;
    const actions = audit.map(({ action }: { action: string }) => action);
    assert.deepEqual(actions, ['finding.resolve', 'finding.acknowledge']);
  });

  it('opens again with a sighting after the resolution, as the next episode', async () => {
    const { id, facts } = await one();
    await resolve(id);
    await feed.exec([{ ...facts, ts: ago(2) }], { store: 'events' });
    assert.equal((await get(id)).state, 'resolved');
    await feed.exec([{ ...facts, ts: BigInt(Date.now() + 60_000) * 1_000_000n }], { store: 'events' });
    const reopened = await get(id);
    assert.equal(reopened.state, 'open');
    assert.equal(reopened.episode, 1);
    const acknowledged = (await acknowledge(id)).json;
    assert.equal(acknowledged.state, 'acknowledged');
    assert.equal(acknowledged.episode, 1);
  });

  it('reads as resolved by an approval for as long as that counts', async () => {
    const { id, sha256 } = await one();
    const approvalId = await approve({ sha256: [sha256] });
    const approved = await get(id);
    assert.equal(approved.state, 'resolved');
    assert.equal(approved.resolved_by, 'approval');
    assert.equal(approved.verdict.value, 'approved');
    assert.equal(approved.verdict.approval_id, approvalId);
    assert.deepEqual(await idsOf(`sha256=${sha256}&state=resolved`), [id]);
    await api.ask(`/v1/approvals/${approvalId}`, { method: 'DELETE' });
    assert.equal((await get(id)).state, 'open');
    assert.deepEqual(await idsOf(`sha256=${sha256}&state=open`), [id]);
  });

  it('stays open while an approval covers only a part of it', async () => {
    const path = '/usr/bin/mixed';
    const tampered = { path, package: 'deb:x:all', package_version: '1', package_match: 'mismatch', ts: ago(1) };
    const [first, second] = [fresh(), fresh()];
    const [finding] = await feed.exec([{ ...tampered, sha256: first }]);
    await feed.exec([{ ...tampered, sha256: second }]);
    await approve({ sha256: [hex(first)] });
    assert.equal((await get(finding!.finding_id)).state, 'open');
    await approve({ sha256: [hex(second)] });
    assert.equal((await get(finding!.finding_id)).state, 'resolved');
  });

  it('stays open when what was approved is denied', async () => {
    const { id, sha256 } = await one();
    await approve({ sha256: [sha256] });
    await approve({ sha256: [sha256] }, '*', 'deny');
    const finding = await get(id);
    assert.equal(finding.state, 'open');
    assert.equal(finding.verdict.value, 'denied');
  });
});

describe('POST in bulk', () => {
  it('changes all, and writes an audit row and a record for each', async () => {
    const made = [await one(), await one(), await one()];
    const ids = made.map(({ id }) => id);
    await resolve(ids[1]!);
    const { status, json } = await api.ask('/v1/findings/resolve', { body: { ids: [...ids, ids[0]], reason: 'all' } });
    assert.equal(status, 200);
    const shown = json.items.map(({ id, state }: { id: string; state: string }) => [id, state]);
    assert.deepEqual(
      shown,
      ids.map((id) => [id, 'resolved']),
    );
    for (const [index, id] of ids.entries()) {
      const audit = (await api.ask(`/v1/audit?object=finding:${id}&action=finding.resolve`)).json.items;
      assert.deepEqual(
        audit.map(({ detail }: { detail: object }) => detail),
        [{ reason: index === 1 ? 'rebuilt' : 'all' }],
      );
      const [record] = await published(id);
      assert.equal(record?.kind === 'action' && record.episode, 1);
    }
  });

  it('changes none when one does not exist, and names it', async () => {
    const { id } = await one();
    const body = { ids: [id, 'f'.repeat(64)] };
    const { status, json } = await api.ask('/v1/findings/acknowledge', { body });
    assert.equal(status, 404);
    assert.deepEqual(
      json.errors.map(({ at }: { at: string }) => at),
      ['/ids/1'],
    );
    assert.equal((await get(id)).state, 'open');
  });

  it('refuses lists that are empty, too long, or without a reason', async () => {
    const ids = ['0'.repeat(64)];
    for (const body of [
      { ids: [] },
      { ids },
      { ids: ['x'], reason: 'r' },
      { ids: Array(1001).fill(ids[0]), reason: 'r' },
    ]) {
      assert.equal((await api.ask('/v1/findings/resolve', { body })).status, 400);
    }
  });

  it('needs the role analyst', async () => {
    const { id } = await one();
    const asked = { role: 'viewer' as const, body: { reason: 'r' } };
    assert.equal((await api.ask(`/v1/findings/${id}/resolve`, asked)).status, 403);
    assert.equal((await api.ask(`/v1/findings/${id}/acknowledge`, asked)).status, 403);
    assert.equal((await api.ask('/v1/findings/resolve', { ...asked, body: { ids: [id], reason: 'r' } })).status, 403);
  });
});

const published = async (findingId: string): Promise<PolicyRecord[]> => {
  const records: PolicyRecord[] = [];
  const follower = await parts.bus.follow(POLICY_TOPIC, (batch) => {
    for (const { key, value } of batch) {
      if (key === `finding:${findingId}`) records.push(JSON.parse(Buffer.from(value).toString()));
    }
  });
  await follower.close();
  return records;
};

describe('actions on the bus', () => {
  it('carry a growing revision and the episode', async () => {
    const { id, facts } = await one();
    await resolve(id);
    await feed.exec([{ ...facts, ts: BigInt(Date.now() + 60_000) * 1_000_000n }], { store: 'events' });
    await acknowledge(id);
    const records = (await published(id)).filter((record) => record.kind === 'action');
    const last = records.at(-1)!;
    assert.equal(last.action, 'acknowledge');
    assert.equal(last.episode, 1);
    assert.ok(records.every((record, index) => index === 0 || record.revision > records[index - 1]!.revision));
  });

  it('are published at the next start when a crash kept them back', async () => {
    const { id } = await one();
    const { publisher } = api.deps;
    const silent = { ...api.deps, publisher: { ...publisher, publish: async () => {} } };
    const headers = { authorization: `Bearer ${api.secrets.analyst}`, 'content-type': 'application/json' };
    const request = { method: 'POST', headers, body: JSON.stringify({ reason: 'then it crashed' }) };
    assert.equal((await createApp(silent).request(`/v1/findings/${id}/resolve`, request)).status, 200);
    assert.deepEqual(await published(id), []);
    await (await openTestApi(parts)).close();
    const [record, ...more] = await published(id);
    assert.ok(record?.kind === 'action' && record.action === 'resolve' && record.episode === 1);
    assert.deepEqual(more, []);
  });
});

describe('the list', () => {
  it('filters by rule, digest, workload, node and state', async () => {
    const memfd = { flags: flagBit('memfd'), workload: 'session/eve', path: '/memfd:x' };
    const fileless = await one(memfd, 'node-list');
    const other = await one({ workload: 'session/eve' });
    assert.deepEqual(await idsOf('rule=fileless-exec&workload=session%2Feve'), [fileless.id]);
    assert.deepEqual(await idsOf('node=node-list'), [fileless.id]);
    assert.deepEqual(await idsOf(`sha256=${other.sha256.toUpperCase()}`), [other.id]);
    assert.deepEqual((await idsOf('workload=session%2Feve')).toSorted(), [fileless.id, other.id].toSorted());
    await acknowledge(other.id);
    assert.deepEqual(await idsOf('workload=session%2Feve&state=acknowledged'), [other.id]);
    assert.deepEqual(await idsOf('workload=session%2Feve&state=open'), [fileless.id]);
    assert.deepEqual(await idsOf('workload=session%2Feve&state=resolved'), []);
    assert.deepEqual(await idsOf('node=nowhere'), []);
  });

  it('filters by the time they were seen, also again', async () => {
    const workload = 'systemd/windows.service';
    const old = await one({ workload, ts: ago(50) });
    const again = await one({ workload, ts: ago(40) });
    await feed.exec([{ ...again.facts, ts: ago(10) }], { store: 'events' });
    const of = (query: string) => idsOf(`workload=${encodeURIComponent(workload)}&${query}`);
    assert.deepEqual(await of('since=now-20h'), [again.id]);
    assert.deepEqual(await of(`since=${time(ago(45))}`), [again.id]);
    assert.deepEqual(await of(`until=${time(ago(45))}`), [old.id]);
    assert.deepEqual(await of(`until=${time(ago(55))}`), []);
    assert.deepEqual(await of('since=now-60h&until=now'), [again.id, old.id]);
  });

  it('pages through all once, newest first sight first, while new ones come in', async () => {
    const workload = 'systemd/pages.service';
    const made: string[] = [];
    for (let hours = 10; hours > 0; hours--) made.unshift((await one({ workload, ts: ago(hours) })).id);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const query = `workload=${encodeURIComponent(workload)}&limit=3${cursor === null ? '' : `&cursor=${cursor}`}`;
      const { json } = await api.ask(`/v1/findings?${query}`);
      for (const { id } of json.items) seen.push(id);
      cursor = json.next_cursor;
      await one({ workload, ts: ago(0) });
    } while (cursor !== null);
    assert.deepEqual(seen, made);
  });

  it('says what it rests on', async () => {
    const { json } = await api.ask('/v1/findings?limit=1');
    assert.equal(json.policy_revision, api.deps.approvals.revision());
    assert.ok(json.coverage.events_stored > 0);
    assert.equal(typeof json.coverage.digest_ratio, 'number');
  });

  it('takes cursors back only with the list and the filters they came from', async () => {
    const { json } = await api.ask('/v1/findings?limit=1');
    const cursor = json.next_cursor;
    assert.equal((await api.ask(`/v1/findings?cursor=${cursor}`)).status, 200);
    const altered = `${cursor.slice(0, -4)}AAAA`;
    for (const path of [
      `/v1/findings?state=open&cursor=${cursor}`,
      `/v1/audit?cursor=${cursor}`,
      `/v1/findings?cursor=${altered}`,
      '/v1/findings?cursor=',
      '/v1/findings?cursor=%00',
      `/v1/findings?cursor=${'A'.repeat(4096)}`,
    ]) {
      const { status, json: problem } = await api.ask(path);
      assert.equal(status, 400, path);
      assert.equal(problem.errors[0].at, 'cursor');
    }
  });

  it('holds digests of more findings than one parameter of ClickHouse can', async () => {
    const long = (index: number) => `/${'p'.repeat(3000)}${index}`;
    const missing = { sha256: '', digest_source: '', digest_strength: '', digest_reason: 'vanished', ts: ago(1) };
    const workload = 'systemd/long.service';
    await feed.exec(Array.from({ length: 60 }, (_, index) => ({ ...missing, workload, path: long(index) })));
    const { json } = await api.ask(`/v1/findings?workload=${encodeURIComponent(workload)}&limit=1000`);
    assert.equal(json.items.length, 60);
    assert.ok(json.items.every(({ count }: { count: number }) => count === 1));
  });
});
