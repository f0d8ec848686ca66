import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openTestApi, startParts, type TestApi, type TestParts } from '../api.fixture.ts';

let parts: TestParts;
let api: TestApi;
let nowMs = Date.parse('2026-03-01T12:00:00.000Z');

before(async () => {
  parts = await startParts();
  api = await openTestApi(parts, { clock: () => nowMs });
  for (const [index, role] of (['analyst', 'admin', 'analyst'] as const).entries()) {
    const match = { sha256: [String(index).repeat(64)] };
    const body = { match, effect: 'allow', scope: { workload: '*' }, reason: `change ${index}` };
    await api.ask('/v1/approvals', { body, role });
    nowMs += 3_600_000;
  }
  // Many rows of one millisecond: their order is by id alone.
  const at = new Date(nowMs).toISOString();
  const row = { at, actor: 'bulk/x', role: 'analyst', action: 'finding.resolve', object: 'finding:x', detail: '{}' };
  const rows = Array.from({ length: 25 }, (_, index) => ({ ...row, id: `same-${index}` }));
  await parts.store.insertRows('audit_log', rows);
});
after(async () => {
  await api.close();
  await parts.stop();
});

const reasons = async (query: string) => {
  const { status, json, text } = await api.ask(`/v1/audit?${query}`, { role: 'analyst' });
  assert.equal(status, 200, text);
  return json.items.map(({ detail }: { detail: { reason?: string } }) => detail.reason);
};

describe('GET /v1/audit', () => {
  it('shows who did what when', async () => {
    const { json } = await api.ask('/v1/audit?action=approval.create');
    const [newest] = json.items;
    assert.equal(newest.at, '2026-03-01T14:00:00.000Z');
    assert.equal(newest.actor, 'test-analyst');
    assert.match(newest.token_id, /^[0-9a-f]{16}$/);
    assert.equal(newest.role, 'analyst');
    assert.match(newest.object, /^approval:/);
    assert.equal(newest.detail.reason, 'change 2');
  });

  it('filters by actor, action, object and time', async () => {
    assert.deepEqual(await reasons('actor=test-admin'), ['change 1']);
    assert.deepEqual(await reasons('actor=test'), []);
    assert.equal((await reasons('action=finding.resolve&limit=1000')).length, 25);
    assert.equal((await reasons('object=finding:x&limit=1000')).length, 25);
    assert.deepEqual(await reasons('action=approval.create&since=now-2h'), ['change 2', 'change 1']);
    assert.deepEqual(await reasons('until=2026-03-01T13:00:00Z'), ['change 0']);
    assert.deepEqual(await reasons('until=2026-03-01T13:00:00.001Z'), ['change 1', 'change 0']);
  });

  it('pages through all rows once, also those of one millisecond', async () => {
    const all = (await api.ask('/v1/audit?limit=1000')).json.items.map(({ id }: { id: string }) => id);
    assert.equal(all.length, 28);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const { json } = await api.ask(`/v1/audit?limit=4${cursor === null ? '' : `&cursor=${cursor}`}`);
      for (const { id } of json.items) seen.push(id);
      cursor = json.next_cursor;
    } while (cursor !== null);
    assert.deepEqual(seen, all);
  });

  it('is for analysts and admins', async () => {
    assert.equal((await api.ask('/v1/audit', { role: 'viewer' })).status, 403);
    assert.equal((await api.ask('/v1/audit', { role: null })).status, 401);
  });
});
