import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openTestApi, startParts, type TestApi, type TestParts } from './api.fixture.ts';
import { createApp } from './app.ts';
import { createRateLimit } from './rate-limit.ts';

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

/** What every error must be, whichever it is. */
function assertProblem(answer: Awaited<ReturnType<TestApi['ask']>>, status: number, kind: string): void {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
  assert.equal(answer.json.type, `urn:bintrail:problem:${kind}`);
  assert.equal(answer.json.status, status);
  assert.equal(answer.json.request_id, answer.headers.get('x-request-id'));
  assert.doesNotMatch(answer.text, /SELECT|\bat .*\.ts|node_modules|DB::Exception/);
}

describe('who may ask', () => {
  it('refuses a request without a token, and says how to send one', async () => {
    const answer = await api.ask('/v1/approvals', { role: null });
    assertProblem(answer, 401, 'invalid-token');
    assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer realm=/);
  });

  it('refuses tokens that are malformed, unknown or altered by one character', async () => {
    const secret = api.secrets.viewer;
    const altered = secret.slice(0, -2) + (secret.at(-2) === 'A' ? 'B' : 'A') + secret.at(-1);
    const unknown = `bt_${'0'.repeat(16)}_${secret.split('_').slice(2).join('_')}`;
    for (const token of ['', 'x', altered, unknown, `${secret}x`, 'bt__', "' OR 1=1 --", 'Ā'.normalize('NFD')]) {
      const headers = { authorization: `Bearer ${encodeURI(token)}` };
      assertProblem(await api.ask('/v1/approvals', { role: null, headers }), 401, 'invalid-token');
    }
    for (const authorization of [secret, `Basic ${secret}`, `Bearer ${secret} ${secret}`]) {
      assertProblem(await api.ask('/v1/approvals', { role: null, headers: { authorization } }), 401, 'invalid-token');
    }
  });

  it('takes the scheme in any case', async () => {
    const headers = { authorization: `bearer ${api.secrets.viewer}` };
    assert.equal((await api.ask('/v1/approvals', { role: null, headers })).status, 200);
  });

  it('names the role that is needed', async () => {
    const answer = await api.ask('/v1/tokens', { role: 'analyst' });
    assertProblem(answer, 403, 'role-needed');
    assert.match(answer.json.detail, /role admin/);
  });

  it('lets a higher role do what a lower one may', async () => {
    for (const role of ['viewer', 'analyst', 'admin'] as const) {
      assert.equal((await api.ask('/v1/approvals', { role })).status, 200);
    }
  });
});

describe('what cannot be answered', () => {
  it('is a 404 for a path that does not exist, with or without a token', async () => {
    for (const role of [null, 'admin'] as const) assertProblem(await api.ask('/v2/x', { role }), 404, 'not-found');
    assertProblem(await api.ask('/v1/approvals/'), 404, 'not-found');
  });

  it('is a 405 with the methods that are allowed', async () => {
    for (const method of ['PUT', 'PATCH', 'DELETE', 'QUERY']) {
      const answer = await api.ask('/v1/approvals', { method });
      assertProblem(answer, 405, 'method-not-allowed');
      assert.equal(answer.headers.get('allow'), 'GET, HEAD, OPTIONS, POST');
    }
    const answer = await api.ask(`/v1/findings/${'0'.repeat(64)}/resolve`, { method: 'GET' });
    assert.equal(answer.headers.get('allow'), 'OPTIONS, POST');
  });

  it('answers OPTIONS without CORS headers', async () => {
    const headers = { origin: 'https://evil.example', 'access-control-request-method': 'POST' };
    const answer = await api.ask('/v1/approvals', { method: 'OPTIONS', role: null, headers });
    assert.equal(answer.status, 204);
    assert.equal(answer.headers.get('allow'), 'GET, HEAD, OPTIONS, POST');
    assert.deepEqual(
      [...answer.headers.keys()].filter((name) => name.startsWith('access-control')),
      [],
    );
  });

  it('answers HEAD as GET without a body', async () => {
    const answer = await api.ask('/v1/approvals', { method: 'HEAD' });
    assert.equal(answer.status, 200);
    assert.equal(answer.text, '');
    assert.equal((await api.ask('/v1/approvals', { method: 'HEAD', role: null })).status, 401);
  });
});

describe('bodies', () => {
  it('refuses what is no JSON', async () => {
    for (const body of ['', '{', 'null x', '\u0000', '[1,]']) {
      assertProblem(await api.ask('/v1/approvals', { body }), 400, 'invalid-request');
    }
  });

  it('refuses JSON of another shape, whatever it is', async () => {
    for (const body of ['null', '[]', '1', '"x"', 'true', '{"__proto__":{"effect":"allow"}}', '['.repeat(100_000)]) {
      assertProblem(await api.ask('/v1/approvals', { body }), 400, 'invalid-request');
    }
  });

  it('points at each fault', async () => {
    const body = { match: { sha256: ['x'] }, effect: 'maybe', scope: { workload: '*' }, reason: 'r', also: 1 };
    const answer = await api.ask('/v1/approvals', { body });
    const faults = answer.json.errors.map(({ in: place, at }: { in: string; at: string }) => `${place} ${at}`);
    assert.deepEqual(faults.sort(), ['body /also', 'body /effect', 'body /match/sha256/0']);
    assert.match(answer.text, /expected one of \\"allow\\"\|\\"deny\\"/);
  });

  it('refuses other content types', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'json']) {
      const answer = await api.ask('/v1/approvals', { body: '{}', headers: { 'content-type': type } });
      assertProblem(answer, 415, 'unsupported-content-type');
    }
  });

  it('refuses 10 MB, and does not read them where there is no token', async () => {
    const body = JSON.stringify({ reason: 'x'.repeat(10_000_000) });
    assertProblem(await api.ask('/v1/approvals', { body }), 413, 'body-too-large');
    assertProblem(await api.ask('/v1/approvals', { body, role: null }), 401, 'invalid-token');
    assertProblem(await api.ask('/v1/approvals', { body, role: 'viewer' }), 403, 'role-needed');
  });
});

describe('parameters', () => {
  it('refuses what is not a parameter and lists what is', async () => {
    const answer = await api.ask('/v1/approvals?efect=deny');
    assertProblem(answer, 400, 'invalid-request');
    assert.equal(answer.json.errors[0].at, 'efect');
    assert.match(answer.json.detail, /allowed: effect, state/);
  });

  it('refuses a parameter that stands twice', async () => {
    assertProblem(await api.ask('/v1/approvals?limit=1&limit=2'), 400, 'invalid-request');
  });

  it('says what a limit and a time may be', async () => {
    for (const limit of ['0', '1001', '-1', '1.5', '0x10', '1e2', ' 5', '']) {
      const answer = await api.ask(`/v1/audit?limit=${encodeURIComponent(limit)}`);
      assertProblem(answer, 400, 'invalid-request');
      assert.match(answer.json.detail, /1 to 1000/);
    }
    for (const since of ['yesterday', 'now-', 'now+1h', '2026-02-30T00:00:00Z', '2026-01-01', '1769860800']) {
      const answer = await api.ask(`/v1/audit?since=${encodeURIComponent(since)}`);
      assertProblem(answer, 400, 'invalid-request');
      assert.match(answer.json.detail, /now-15m/);
    }
  });
});

describe('around every answer', () => {
  it('sets headers that keep browsers and caches out, on errors too', async () => {
    for (const path of ['/healthz', '/v1/approvals', '/v2', '/openapi.json']) {
      const { headers } = await api.ask(path);
      assert.equal(headers.get('cache-control'), 'no-store');
      assert.equal(headers.get('x-content-type-options'), 'nosniff');
      assert.match(headers.get('content-security-policy') ?? '', /^default-src 'none'/);
      assert.equal(headers.get('access-control-allow-origin'), null);
    }
  });

  it('keeps a request id that is one and replaces any other', async () => {
    const named = await api.ask('/healthz', { headers: { 'x-request-id': 'my-trace.7' } });
    assert.equal(named.headers.get('x-request-id'), 'my-trace.7');
    const forged = await api.ask('/healthz', { headers: { 'x-request-id': 'a b"}' } });
    assert.match(forged.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/);
  });

  it('logs each request without its query and without the token', async () => {
    parts.lines.length = 0;
    await api.ask('/v1/approvals?package=top-secret-name');
    const logged = parts.lines.join('');
    assert.match(logged, /"path":"\/v1\/approvals","status":200/);
    assert.match(logged, /"actor":"test-admin"/);
    assert.doesNotMatch(logged, /top-secret-name|bt_[0-9a-f]/);
  });

  it('measures by route, not by path, and shows that only with a token', async () => {
    assertProblem(await api.ask('/metrics', { role: null }), 401, 'invalid-token');
    await api.ask('/v1/approvals/some-id');
    await api.ask('/v1/nowhere/else');
    const { text } = await api.ask('/metrics', { role: 'viewer' });
    assert.match(text, /http_request_seconds_count\{method="GET",route="\/v1\/approvals\/:id",status="404"\} 1/);
    assert.match(text, /http_request_seconds_count\{method="GET",route="none",status="404"\}/);
    assert.doesNotMatch(text, /some-id|nowhere/);
  });
});

describe('rates', () => {
  it('gives each token its burst, then says when to come back, and lets others go on', async () => {
    let nowMs = 1_000_000;
    const rateLimit = createRateLimit(() => nowMs, 1, 3);
    const app = createApp({ ...api.deps, rateLimit });
    const ask = async (secret: string) =>
      app.request('/v1/approvals', { headers: { authorization: `Bearer ${secret}` } });
    const first = await Promise.all([1, 2, 3].map(() => ask(api.secrets.viewer)));
    assert.deepEqual(
      first.map(({ status }) => status),
      [200, 200, 200],
    );
    const refused = await ask(api.secrets.viewer);
    assert.equal(refused.status, 429);
    assert.equal(refused.headers.get('retry-after'), '1');
    assert.equal((await ask(api.secrets.admin)).status, 200);
    nowMs += 1000;
    assert.equal((await ask(api.secrets.viewer)).status, 200);
    assert.equal((await ask(api.secrets.viewer)).status, 429);
  });

  it('slows down who guesses tokens, not who has one', async () => {
    const app = createApp({ ...api.deps, rateLimit: createRateLimit(() => 0, 1, 2) });
    const statuses: number[] = [];
    for (let guess = 0; guess < 3; guess++) statuses.push((await app.request('/v1/audit')).status);
    assert.deepEqual(statuses, [401, 401, 429]);
    const headers = { authorization: `Bearer ${api.secrets.analyst}` };
    assert.equal((await app.request('/v1/audit', { headers })).status, 200);
  });
});

describe('the first address people try', () => {
  it('leads to the documentation', async () => {
    for (const path of ['/', '/docs/']) {
      const response = await api.app.request(path);
      assert.deepEqual([response.status, response.headers.get('location')], [308, '/docs'], path);
    }
  });

  it('takes tokens by one scheme, and says so to the others', async () => {
    const answer = await api.app.request('/v1/audit', { headers: { authorization: 'Basic YTpi' } });
    assert.equal(answer.status, 401);
    assert.match(((await answer.json()) as { detail: string }).detail, /Bearer <token>\. Basic is not taken/);
  });
});
