import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Transient } from '@bintrail/runtime/errors.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import type { PolicyRecord } from '@bintrail/schemas/policy.ts';
import { openTestApi, startParts, type TestApi, type TestParts } from '../api.fixture.ts';
import { POLICY_TOPIC } from '../policy-publisher.ts';

let parts: TestParts;
let api: TestApi;

before(async () => {
  parts = await startParts();
  api = await openTestApi(parts);
});
after(async () => {
  await api.close();
  await parts.stop();
});

const sha256Of = (digit: string) => digit.repeat(64);
const input = (part: object = {}) => ({
  match: { sha256: [sha256Of('a')] },
  effect: 'allow',
  scope: { workload: '*' },
  reason: 'built by us',
  ...part,
});

async function create(part: object = {}, role: 'analyst' | 'admin' = 'analyst') {
  const { status, json, text, headers } = await api.ask('/v1/approvals', { role, body: input(part) });
  assert.equal(status, 201, text);
  return { ...json, location: headers.get('location') };
}

async function policyRecords(): Promise<PolicyRecord[]> {
  const records: PolicyRecord[] = [];
  const follower = await parts.bus.follow(POLICY_TOPIC, (batch) => {
    for (const { value } of batch) records.push(JSON.parse(Buffer.from(value).toString()));
  });
  await follower.close();
  return records;
}

const published = async (id: string) =>
  (await policyRecords()).filter((record) => record.kind === 'approval' && record.approval.id === id);

describe('POST /v1/approvals', () => {
  it('answers the approval with its revision, and shows it at once', async () => {
    const approval = await create();
    assert.equal(approval.author, 'test-analyst');
    assert.equal(approval.state, 'active');
    assert.equal(approval.expires_at, null);
    assert.equal(approval.location, `/v1/approvals/${approval.id}`);
    const { location: _, ...shown } = approval;
    assert.deepEqual((await api.ask(approval.location, { role: 'viewer' })).json, shown);
    const list = (await api.ask('/v1/approvals')).json;
    assert.deepEqual(list.items[0], shown);
    assert.equal(list.policy_revision, approval.revision);
  });

  it('gives each change the next revision, also of many at once', async () => {
    const before = (await api.ask('/v1/approvals')).json.policy_revision;
    const made = await Promise.all(Array.from({ length: 8 }, () => create()));
    const revisions = made.map(({ revision }) => revision).sort((a, b) => a - b);
    assert.deepEqual(
      revisions,
      Array.from({ length: 8 }, (_, index) => before + 1 + index),
    );
  });

  it('takes every kind of match', async () => {
    const matches = [
      { sha256: Array.from({ length: 1000 }, (_, index) => index.toString(16).padStart(64, '0')) },
      { package: { name: 'deb:nginx:amd64', version: '1.2-3' } },
      { path: '/opt/tool/*' },
    ];
    for (const match of matches) {
      const approval = await create({ match, scope: { workload: 'k8s/shop/*' }, effect: 'deny' });
      assert.deepEqual((await api.ask(`/v1/approvals/${approval.id}`)).json.match, match);
    }
  });

  it('refuses what would approve too much or nothing', async () => {
    const faults: [object, string][] = [
      [{ match: { path: '/opt/x' } }, '/scope/workload'],
      [{ match: { sha256: [] } }, '/match/sha256'],
      [{ match: { sha256: [sha256Of('A')] } }, '/match/sha256/0'],
      [{ match: { sha256: [sha256Of('a')], path: '/x' } }, '/match/path'],
      [{ match: {} }, '/match/sha256'],
      [{ reason: '  ' }, '/reason'],
      [{ expires_at: 'tomorrow' }, '/expires_at'],
      [{ scope: {} }, '/scope/workload'],
    ];
    for (const [part, at] of faults) {
      const { status, json } = await api.ask('/v1/approvals', { body: input(part) });
      assert.equal(status, 400);
      assert.ok(
        json.errors.some((fault: { at: string }) => fault.at === at),
        `${at} in ${JSON.stringify(json)}`,
      );
    }
  });

  it('keeps texts as they are', async () => {
    const reason = "'; DROP TABLE approval_revisions; -- \u0000 \n \\x41 {a:String} 😀";
    const approval = await create({ reason });
    assert.equal((await api.ask(`/v1/approvals/${approval.id}`)).json.reason, reason);
  });

  it('needs the role analyst', async () => {
    assert.equal((await api.ask('/v1/approvals', { role: 'viewer', body: input() })).status, 403);
    assert.equal((await api.ask('/v1/approvals', { role: null, body: input() })).status, 401);
  });
});

describe('GET /v1/approvals', () => {
  it('shows an expired one as expired, by the clock of the question', async () => {
    const approval = await create({ expires_at: '2020-01-01T00:00:00+02:00' });
    assert.equal(approval.state, 'expired');
    const items = (await api.ask('/v1/approvals?state=active')).json.items;
    assert.ok(!items.some(({ id }: { id: string }) => id === approval.id));
  });

  it('filters', async () => {
    const deny = await create({ effect: 'deny', match: { sha256: [sha256Of('d')] }, scope: { workload: 'k8s/a/*' } });
    const byPackage = await create({ match: { package: { name: 'deb:x:all' } } });
    const idsOf = async (query: string) =>
      (await api.ask(`/v1/approvals?${query}`)).json.items.map(({ id }: { id: string }) => id);
    assert.deepEqual(await idsOf(`effect=deny&sha256=${sha256Of('D')}`), [deny.id]);
    assert.deepEqual(await idsOf(`sha256=${sha256Of('d')}&workload=k8s%2Fa%2Fb`), [deny.id]);
    assert.deepEqual(await idsOf(`sha256=${sha256Of('d')}&workload=k8s%2Fb`), []);
    assert.deepEqual(await idsOf('package=deb%3Ax%3Aall'), [byPackage.id]);
  });

  it('pages through all of them once, newest first', async () => {
    const all = (await api.ask('/v1/approvals?limit=1000')).json;
    assert.equal(all.next_cursor, null);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const { json } = await api.ask(`/v1/approvals?limit=3${cursor === null ? '' : `&cursor=${cursor}`}`);
      assert.ok(json.items.length <= 3);
      for (const { id } of json.items) seen.push(id);
      cursor = json.next_cursor;
    } while (cursor !== null);
    assert.deepEqual(
      seen,
      all.items.map(({ id }: { id: string }) => id),
    );
  });
});

describe('DELETE /v1/approvals/{id}', () => {
  it('withdraws once, under a new revision', async () => {
    const approval = await create();
    const { status, json } = await api.ask(`/v1/approvals/${approval.id}`, { method: 'DELETE', role: 'analyst' });
    assert.equal(status, 200);
    assert.equal(json.state, 'withdrawn');
    assert.equal(json.revision, approval.revision + 1);
    assert.equal((await api.ask('/v1/approvals')).json.policy_revision, json.revision);
    assert.equal((await api.ask(`/v1/approvals/${approval.id}`)).status, 404);
    assert.equal((await api.ask(`/v1/approvals/${approval.id}`, { method: 'DELETE' })).status, 404);
  });

  it('answers 404 for ids that are none', async () => {
    for (const id of ['x', '%00', '%27', encodeURIComponent("' OR 1=1"), '%E0%A4%A']) {
      assert.equal((await api.ask(`/v1/approvals/${id}`)).status, 404);
      assert.equal((await api.ask(`/v1/approvals/${id}`, { method: 'DELETE' })).status, 404);
    }
  });

  it('needs the role analyst', async () => {
    const approval = await create();
    assert.equal((await api.ask(`/v1/approvals/${approval.id}`, { method: 'DELETE', role: 'viewer' })).status, 403);
    assert.equal((await api.ask(`/v1/approvals/${approval.id}`)).status, 200);
  });
});

describe('what follows a change', () => {
  it('is a record on the bus for each revision', async () => {
    const approval = await create();
    await api.ask(`/v1/approvals/${approval.id}`, { method: 'DELETE' });
    const records = await published(approval.id);
    const last = records.at(-1);
    assert.ok(last?.kind === 'approval');
    assert.equal(last.deleted, true);
    assert.equal(last.revision, approval.revision + 1);
    assert.equal(last.approval.revision, approval.revision + 1);
  });

  it('is an audit row for each, by whom and what', async () => {
    const approval = await create({ reason: 'audited' });
    await api.ask(`/v1/approvals/${approval.id}`, { method: 'DELETE', role: 'admin' });
    const { json } = await api.ask(`/v1/audit?object=approval:${approval.id}`, { role: 'analyst' });
    const rows = json.items.map(({ actor, action }: { actor: string; action: string }) => `${actor} ${action}`);
    assert.deepEqual(rows, ['test-admin approval.withdraw', 'test-analyst approval.create']);
    assert.equal(json.items[1].detail.reason, 'audited');
  });

  it('outlives a restart, and what the bus misses is published then', async () => {
    const approval = await create();
    const row = { revision: 1_000_000, id: 'crashed', deleted: 0, at: new Date().toISOString() };
    const crashed = { ...approval, id: 'crashed', revision: row.revision };
    await parts.store.insertRows('approval_revisions', [{ ...row, approval: JSON.stringify(crashed) }]);
    const again = await openTestApi(parts);
    assert.equal((await again.ask(`/v1/approvals/${approval.id}`)).json.revision, approval.revision);
    assert.deepEqual(
      (await published('crashed')).map(({ revision }) => revision),
      [1_000_000],
    );
    await again.close();
    await api.deps.approvals.reload();
  });
});

describe('a store that fails in the middle', () => {
  it('leaves no approval without an audit row, and no revision twice', async () => {
    let answer: 'stored' | 'lost' = 'lost';
    const store: Store = {
      ...parts.store,
      async insertRows(table, rows, token) {
        if (table === 'approval_revisions' && answer === 'lost') {
          answer = 'stored';
          await parts.store.insertRows(table, rows, token);
          throw new Transient('the answer got lost');
        }
        await parts.store.insertRows(table, rows, token);
      },
    };
    const shaky = await openTestApi(parts, { store });
    const refused = await shaky.ask('/v1/approvals', { body: input({ reason: 'first try' }) });
    assert.equal(refused.status, 503);
    const second = await shaky.ask('/v1/approvals', { body: input({ reason: 'second try' }) });
    assert.equal(second.status, 201);
    const items = (await shaky.ask('/v1/approvals?limit=2')).json.items;
    assert.deepEqual(
      items.map(({ reason }: { reason: string }) => reason),
      ['second try', 'first try'],
    );
    assert.equal(items[0].revision, items[1].revision + 1);
    const audit = (await shaky.ask(`/v1/audit?object=approval:${items[1].id}`)).json.items;
    assert.equal(audit.length, 1);
    await shaky.close();
  });
});
