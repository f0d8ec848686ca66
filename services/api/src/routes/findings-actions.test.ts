import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openTestApi } from '../api.fixture.ts';
import { createApp } from '../app.ts';
import { ago, type FindingsApi, fresh, hex, inAMinute, openFindings } from '../findings.fixture.ts';

let f: FindingsApi;

before(async () => {
  f = await openFindings();
});
after(() => f.stop());

describe('state', () => {
  it('goes from open over acknowledged to resolved, each with its reason', async () => {
    const { id } = await f.one();
    const { json } = await f.api.ask(`/v1/findings/${id}/acknowledge`, { body: { reason: 'looking' } });
    assert.equal(json.state, 'acknowledged');
    assert.equal(json.last_action.reason, 'looking');
    const resolved = (await f.resolve(id)).json;
    assert.equal(resolved.state, 'resolved');
    assert.equal(resolved.resolved_by, 'action');
    assert.equal(resolved.last_action.actor, 'test-analyst');
    assert.deepEqual(await f.get(id), resolved);
  });

  it('may be acknowledged without a word, but not resolved', async () => {
    const { id } = await f.one();
    assert.equal((await f.api.ask(`/v1/findings/${id}/resolve`, { method: 'POST' })).status, 400);
    assert.equal((await f.api.ask(`/v1/findings/${id}/resolve`, { body: { reason: ' ' } })).status, 400);
    const { json } = await f.api.ask(`/v1/findings/${id}/acknowledge`, { method: 'POST' });
    assert.equal(json.state, 'acknowledged');
    assert.equal(json.last_action.reason, '');
  });

  it('is changed once by a request that is repeated', async () => {
    const { id } = await f.one();
    for (const repeat of [f.acknowledge, f.acknowledge, f.resolve, f.resolve, f.acknowledge]) {
      assert.equal((await repeat(id)).status, 200);
    }
    assert.equal((await f.get(id)).state, 'resolved');
    const audit = (await f.api.ask(`/v1/audit?object=finding:${id}`)).json.items;
    const actions = audit.map(({ action }: { action: string }) => action);
    assert.deepEqual(actions, ['finding.resolve', 'finding.acknowledge']);
  });

  it('opens again with a sighting after the resolution, as the next episode', async () => {
    const { id, facts } = await f.one();
    await f.resolve(id);
    await f.feed.exec([{ ...facts, ts: ago(2) }], { store: 'events' });
    assert.equal((await f.get(id)).state, 'resolved');
    await f.feed.exec([{ ...facts, ts: inAMinute() }], { store: 'events' });
    const reopened = await f.get(id);
    assert.equal(reopened.state, 'open');
    assert.equal(reopened.episode, 1);
    const acknowledged = (await f.acknowledge(id)).json;
    assert.equal(acknowledged.state, 'acknowledged');
    assert.equal(acknowledged.episode, 1);
  });

  it('reads as resolved by an approval for as long as that counts', async () => {
    const { id, sha256 } = await f.one();
    const approvalId = await f.approve({ sha256: [sha256] });
    const approved = await f.get(id);
    assert.equal(approved.state, 'resolved');
    assert.equal(approved.resolved_by, 'approval');
    assert.equal(approved.verdict.value, 'approved');
    assert.equal(approved.verdict.approval_id, approvalId);
    assert.deepEqual(await f.idsOf(`sha256=${sha256}&state=resolved`), [id]);
    await f.api.ask(`/v1/approvals/${approvalId}`, { method: 'DELETE' });
    assert.equal((await f.get(id)).state, 'open');
    assert.deepEqual(await f.idsOf(`sha256=${sha256}&state=open`), [id]);
  });

  it('stays open while an approval covers only a part of it', async () => {
    const path = '/usr/bin/mixed';
    const tampered = { path, package: 'deb:x:all', package_version: '1', package_match: 'mismatch', ts: ago(1) };
    const [first, second] = [fresh(), fresh()];
    const [finding] = await f.feed.exec([{ ...tampered, sha256: first }]);
    await f.feed.exec([{ ...tampered, sha256: second }]);
    await f.approve({ sha256: [hex(first)] });
    assert.equal((await f.get(finding!.finding_id)).state, 'open');
    await f.approve({ sha256: [hex(second)] });
    assert.equal((await f.get(finding!.finding_id)).state, 'resolved');
  });

  it('stays open when what was approved is denied', async () => {
    const { id, sha256 } = await f.one();
    await f.approve({ sha256: [sha256] });
    await f.approve({ sha256: [sha256] }, 'deny');
    const finding = await f.get(id);
    assert.equal(finding.state, 'open');
    assert.equal(finding.verdict.value, 'denied');
  });
});

describe('POST in bulk', () => {
  it('changes all, and writes an audit row and a record for each', async () => {
    const made = [await f.one(), await f.one(), await f.one()];
    const ids = made.map(({ id }) => id);
    await f.resolve(ids[1]!);
    const { status, json } = await f.api.ask('/v1/findings/resolve', {
      body: { ids: [...ids, ids[0]], reason: 'all' },
    });
    assert.equal(status, 200);
    const shown = json.items.map(({ id, state }: { id: string; state: string }) => [id, state]);
    assert.deepEqual(
      shown,
      ids.map((id) => [id, 'resolved']),
    );
    for (const [index, id] of ids.entries()) {
      const audit = (await f.api.ask(`/v1/audit?object=finding:${id}&action=finding.resolve`)).json.items;
      assert.deepEqual(
        audit.map(({ detail }: { detail: object }) => detail),
        [{ reason: index === 1 ? 'rebuilt' : 'all' }],
      );
      const [record] = await f.published(id);
      assert.equal(record?.kind === 'action' && record.episode, 1);
    }
  });

  it('changes none when one does not exist, and names it', async () => {
    const { id } = await f.one();
    const body = { ids: [id, 'f'.repeat(64)] };
    const { status, json } = await f.api.ask('/v1/findings/acknowledge', { body });
    assert.equal(status, 404);
    assert.deepEqual(
      json.errors.map(({ at }: { at: string }) => at),
      ['/ids/1'],
    );
    assert.equal((await f.get(id)).state, 'open');
  });

  it('refuses lists that are empty, too long, or without a reason', async () => {
    const ids = ['0'.repeat(64)];
    for (const body of [
      { ids: [] },
      { ids },
      { ids: ['x'], reason: 'r' },
      { ids: Array(1001).fill(ids[0]), reason: 'r' },
    ]) {
      assert.equal((await f.api.ask('/v1/findings/resolve', { body })).status, 400);
    }
  });

  it('needs the role analyst', async () => {
    const { id } = await f.one();
    const asked = { role: 'viewer' as const, body: { reason: 'r' } };
    assert.equal((await f.api.ask(`/v1/findings/${id}/resolve`, asked)).status, 403);
    assert.equal((await f.api.ask(`/v1/findings/${id}/acknowledge`, asked)).status, 403);
    assert.equal((await f.api.ask('/v1/findings/resolve', { ...asked, body: { ids: [id], reason: 'r' } })).status, 403);
  });
});

describe('actions on the bus', () => {
  it('carry a growing revision and the episode', async () => {
    const { id, facts } = await f.one();
    await f.resolve(id);
    await f.feed.exec([{ ...facts, ts: inAMinute() }], { store: 'events' });
    await f.acknowledge(id);
    const records = (await f.published(id)).filter((record) => record.kind === 'action');
    const last = records.at(-1)!;
    assert.equal(last.action, 'acknowledge');
    assert.equal(last.episode, 1);
    assert.ok(records.every((record, index) => index === 0 || record.revision > records[index - 1]!.revision));
  });

  it('are published at the next start when a crash kept them back', async () => {
    const { id } = await f.one();
    const { publisher } = f.api.deps;
    const silent = { ...f.api.deps, publisher: { ...publisher, publish: async () => {} } };
    const headers = { authorization: `Bearer ${f.api.secrets.analyst}`, 'content-type': 'application/json' };
    const request = { method: 'POST', headers, body: JSON.stringify({ reason: 'then it crashed' }) };
    assert.equal((await createApp(silent).request(`/v1/findings/${id}/resolve`, request)).status, 200);
    assert.deepEqual(await f.published(id), []);
    await (await openTestApi(f.parts)).close();
    const [record, ...more] = await f.published(id);
    assert.ok(record?.kind === 'action' && record.action === 'resolve' && record.episode === 1);
    assert.deepEqual(more, []);
  });
});
