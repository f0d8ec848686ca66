import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openTestApi, startParts, type TestApi, type TestParts } from '../api.fixture.ts';
import { createSecret } from '../secret.ts';

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

const asToken = (token: string) => ({ role: null, headers: { authorization: `Bearer ${token}` } });

async function create(part: object = {}) {
  const { status, json, text } = await api.ask('/v1/tokens', { body: { name: 'grafana', role: 'viewer', ...part } });
  assert.equal(status, 201, text);
  return json;
}

describe('POST /v1/tokens', () => {
  it('shows the secret once, and it works at once with its role', async () => {
    const made = await create({ role: 'analyst' });
    assert.match(made.token, /^bt_[0-9a-f]{16}_[\w-]{43}$/);
    assert.equal((await api.ask('/v1/audit', asToken(made.token))).status, 200);
    assert.equal((await api.ask('/v1/tokens', asToken(made.token))).status, 403);
    const list = await api.ask('/v1/tokens?limit=1000');
    assert.ok(list.json.items.some(({ id }: { id: string }) => id === made.id));
    assert.ok(!list.text.includes(made.token.slice(-43)));
  });

  it('keeps only a hash: the secret is neither in the store nor in the log', async () => {
    const made = await create();
    const secret = made.token.split('_').slice(2).join('_');
    for (const table of ['api_tokens', 'audit_log']) {
      const rows = await parts.store.query(
        `SELECT * EXCEPT ${table === 'api_tokens' ? 'secret_sha256' : 'id'} FROM ${table}`,
      );
      assert.ok(rows.length > 0);
      assert.ok(!JSON.stringify(rows).includes(secret));
    }
    assert.ok(!parts.lines.join('').includes(secret));
  });

  it('lets a token end by itself', async () => {
    let nowMs = Date.now();
    const app = await openTestApi(parts, { clock: () => nowMs });
    const expires_at = new Date(nowMs + 60_000).toISOString();
    const made = (await app.ask('/v1/tokens', { body: { name: 'short', role: 'viewer', expires_at } })).json;
    assert.equal(made.expires_at, expires_at);
    assert.equal((await app.ask('/v1/approvals', asToken(made.token))).status, 200);
    nowMs += 60_000;
    assert.equal((await app.ask('/v1/approvals', asToken(made.token))).status, 401);
    const again = await openTestApi(parts, { clock: () => nowMs });
    assert.equal((await again.ask('/v1/approvals', asToken(made.token))).status, 401);
    const shown = (await again.ask('/v1/tokens?limit=1000')).json.items.find(
      ({ id }: { id: string }) => id === made.id,
    );
    assert.equal(shown.expires_at, expires_at);
    assert.equal(shown.revoked_at, null);
    assert.equal(shown.valid, false);
    await Promise.all([app.close(), again.close()]);
  });

  it('refuses names and roles that are none', async () => {
    for (const part of [
      { name: '' },
      { name: 'a/b' },
      { name: 'a\nb' },
      { role: 'root' },
      { expires_at: 'soon' },
      { x: 1 },
    ]) {
      const { status } = await api.ask('/v1/tokens', { body: { name: 'a', role: 'viewer', ...part } });
      assert.equal(status, 400, JSON.stringify(part));
    }
  });

  it('is for admins alone', async () => {
    for (const role of ['viewer', 'analyst'] as const) {
      assert.equal((await api.ask('/v1/tokens', { role, body: { name: 'a', role: 'admin' } })).status, 403);
      assert.equal((await api.ask('/v1/tokens', { role })).status, 403);
      assert.equal((await api.ask('/v1/tokens/x', { role, method: 'DELETE' })).status, 403);
    }
  });
});

describe('DELETE /v1/tokens/{id}', () => {
  it('ends a token at once, and for good', async () => {
    const made = await create();
    const { status, json } = await api.ask(`/v1/tokens/${made.id}`, { method: 'DELETE' });
    assert.equal(status, 200);
    assert.notEqual(json.revoked_at, null);
    assert.equal(json.valid, false);
    assert.equal((await api.ask('/v1/approvals', asToken(made.token))).status, 401);
    const again = await openTestApi(parts);
    assert.equal((await again.ask('/v1/approvals', asToken(made.token))).status, 401);
    await again.close();
    assert.equal((await api.ask(`/v1/tokens/${made.id}`, { method: 'DELETE' })).status, 404);
  });

  it('writes audit rows', async () => {
    const made = await create({ name: 'to-go' });
    await api.ask(`/v1/tokens/${made.id}`, { method: 'DELETE' });
    const { items } = (await api.ask(`/v1/audit?object=token:${made.id}`)).json;
    const shown = items.map(({ action, detail }: { action: string; detail: { name: string } }) => [
      action,
      detail.name,
    ]);
    assert.deepEqual(shown, [
      ['token.revoke', 'to-go'],
      ['token.create', 'to-go'],
    ]);
  });

  it('answers 404 for ids that are none', async () => {
    for (const id of ['nobody', '%27%20OR%201', 'fleet']) {
      assert.equal((await api.ask(`/v1/tokens/${id}`, { method: 'DELETE' })).status, 404);
    }
  });

  it('keeps the last admin token that does not end, whoever asks and however many at once', async () => {
    const expires_at = new Date(Date.now() + 3_600_000).toISOString();
    await create({ name: 'ends', role: 'admin', expires_at });
    const lasting = () => {
      const { tokens } = api.deps;
      const admins = tokens.list().filter((token) => token.role === 'admin' && tokens.isValid(token));
      return admins.filter(({ expiresAtMs }) => expiresAtMs === null);
    };
    assert.ok(lasting().length >= 2);
    const revoke = ({ id }: { id: string }) => api.ask(`/v1/tokens/${id}`, { method: 'DELETE' });
    const statuses = (await Promise.all(lasting().map(revoke))).map(({ status }) => status).sort();
    assert.deepEqual(statuses, [...statuses.slice(1).map(() => 200), 409]);
    assert.equal(lasting().length, 1);
    await api.close();
    api = await openTestApi(parts);
  });
});

describe('GET /v1/tokens', () => {
  it('pages through all of them once', async () => {
    for (let count = 0; count < 5; count++) await create();
    const all = (await api.ask('/v1/tokens?limit=1000')).json.items.map(({ id }: { id: string }) => id);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const { json } = await api.ask(`/v1/tokens?limit=2${cursor === null ? '' : `&cursor=${cursor}`}`);
      for (const { id } of json.items) seen.push(id);
      cursor = json.next_cursor;
    } while (cursor !== null);
    assert.deepEqual(seen, all);
  });
});

describe('tokens from elsewhere', () => {
  it('are found within 10 s, and end within 10 s', async () => {
    let nowMs = Date.now();
    const other = await openTestApi(parts, { clock: () => nowMs });
    const made = await create();
    assert.equal((await other.ask('/v1/approvals', asToken(made.token))).status, 401);
    nowMs += 10_001;
    assert.equal((await other.ask('/v1/approvals', asToken(made.token))).status, 200);
    await api.ask(`/v1/tokens/${made.id}`, { method: 'DELETE' });
    nowMs += 10_001;
    assert.equal((await other.ask('/v1/approvals', asToken(made.token))).status, 401);
    await other.close();
  });

  it('may be one of a fleet, known by its hash alone', async () => {
    const { token, sha256 } = createSecret();
    const fleet = await openTestApi(parts, { adminTokenHash: sha256 });
    assert.equal(fleet.firstToken, null);
    assert.equal((await fleet.ask('/v1/tokens', asToken(token))).status, 200);
    assert.equal((await fleet.ask('/v1/tokens', asToken(createSecret().token))).status, 401);
    assert.equal((await api.ask('/v1/tokens', asToken(token))).status, 401);
    await fleet.close();
  });
});
