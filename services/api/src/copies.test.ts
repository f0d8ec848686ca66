import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Transient } from '@bintrail/runtime/errors.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { openTestApi, startParts, type TestApi, type TestParts } from './api.fixture.ts';

let parts: TestParts;
let writer: TestApi;
let reader: TestApi;
let nowMs = Date.now();
let isStoreAway = false;

before(async () => {
  parts = await startParts();
  writer = await openTestApi(parts);
  await approve('before the reader came');
  const query: TestParts['store']['query'] = (...asked) =>
    isStoreAway ? Promise.reject(new Transient('away')) : parts.store.query(...asked);
  const mayBeAway = { ...parts, store: { ...parts.store, query } };
  reader = await openTestApi(mayBeAway, { writerUrl: 'http://writer.example:7070', clock: () => nowMs });
});
after(async () => {
  await reader.close();
  await writer.close();
  await parts.stop();
});

const ask = (api: TestApi, path: string, options: Parameters<TestApi['ask']>[1] = {}) => api.ask(path, options);

async function approve(reason: string): Promise<{ id: string; revision: number }> {
  const body = { match: { path: '/opt/a' }, effect: 'allow', scope: { workload: 'systemd/*' }, reason };
  const { status, json, text } = await ask(writer, '/v1/approvals', { body });
  assert.equal(status, 201, text);
  return json;
}

/** What the reader shows once it has read `bintrail.policy` to its end. */
async function seen(): Promise<{ reasons: string[]; revision: number }> {
  const follower = await parts.bus.follow(TOPICS.policy, () => {});
  await follower.close();
  const { json } = await ask(reader, '/v1/approvals');
  return { reasons: json.items.map(({ reason }: { reason: string }) => reason), revision: json.policy_revision };
}

async function written(): Promise<unknown> {
  const tables = ['approval_revisions', 'finding_actions', 'api_tokens', 'audit_log'];
  const counts = tables.map((table) => `(SELECT count() FROM ${table}) AS ${table}`);
  return (await parts.store.query(`SELECT ${counts.join(', ')}`))[0];
}

describe('a copy of the api that only reads', () => {
  it('refuses every change, says where it goes, and writes nothing', async () => {
    const { id } = await approve('kept');
    const before = await written();
    const body = { match: { path: '/opt/b' }, effect: 'allow', scope: { workload: 'systemd/*' }, reason: 'no' };
    const ids = ['ab'.repeat(32)];
    for (const [path, options] of [
      ['/v1/approvals', { body }],
      [`/v1/approvals/${id}`, { method: 'DELETE' }],
      ['/v1/findings/acknowledge', { body: { ids, reason: 'no' } }],
      [`/v1/findings/${ids[0]}/resolve`, { body: { reason: 'no' } }],
      ['/v1/tokens', { body: { name: 'no', role: 'viewer' } }],
      [`/v1/tokens/${id}`, { method: 'DELETE' }],
    ] as const) {
      const { status, json } = await ask(reader, path, options);
      assert.equal(status, 421, path);
      assert.equal(json.type, 'urn:bintrail:problem:changes-elsewhere');
      assert.match(json.detail, /changes go to http:\/\/writer\.example:7070, with the same path and token/);
    }
    assert.equal((await ask(reader, '/v1/approvals', { body, role: 'viewer' })).status, 403);
    assert.deepEqual(await written(), before);
  });

  it('shows what the other approves and withdraws', async () => {
    const { id, revision } = await approve('to be withdrawn');
    const shown = await seen();
    assert.equal(shown.revision, revision);
    assert.deepEqual(shown.reasons, ['to be withdrawn', 'kept', 'before the reader came']);
    assert.equal((await ask(writer, `/v1/approvals/${id}`, { method: 'DELETE' })).status, 200);
    assert.deepEqual((await seen()).reasons, ['kept', 'before the reader came']);
    assert.equal((await ask(reader, `/v1/approvals/${id}`)).status, 404);
  });

  it('takes no token any more that may have been revoked while it could not ask', async () => {
    isStoreAway = true;
    nowMs += 59_000;
    assert.equal((await ask(reader, '/v1/approvals')).status, 200);
    nowMs += 11_000;
    assert.equal((await ask(reader, '/v1/approvals')).status, 503);
    isStoreAway = false;
    nowMs += 11_000;
    assert.equal((await ask(reader, '/v1/approvals')).status, 200);
  });
});
