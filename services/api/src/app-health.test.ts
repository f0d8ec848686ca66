import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Transient } from '@bintrail/runtime/errors.ts';
import { openTestApi, startParts, type TestApi, type TestParts } from './api.fixture.ts';
import { createApp } from './app.ts';

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

describe('a dependency that fails', () => {
  const headers = () => ({ authorization: `Bearer ${api.secrets.admin}` });

  it('becomes 503 with Retry-After while it may heal', async () => {
    const query = () => Promise.reject(new Transient('connect ECONNREFUSED 10.0.0.7:8123', { retryAfterMs: 2500 }));
    const app = createApp({ ...api.deps, store: { ...api.deps.store, query, ping: query } });
    for (const [path, seconds] of [
      ['/v1/audit', '3'],
      ['/readyz', '1'],
    ] as const) {
      const response = await app.request(path, { headers: headers() });
      assert.equal(response.status, 503);
      assert.equal(response.headers.get('retry-after'), seconds);
      assert.doesNotMatch(await response.text(), /10\.0\.0\.7/);
    }
  });

  it('does not make who watches us wait', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const ping = () => {
      queueMicrotask(() => t.mock.timers.tick(2_000));
      return new Promise<void>(() => {});
    };
    const app = createApp({ ...api.deps, store: { ...api.deps.store, ping } });
    const ready = await app.request('/readyz');
    assert.equal(ready.status, 503);
    assert.match(((await ready.json()) as { detail: string }).detail, /store did not answer within 2 s/);
    assert.equal((await app.request('/healthz')).status, 200);
  });

  it('leaves /healthz answering, with the part that is down', async () => {
    const ping = () => Promise.reject(new Transient('gone'));
    const app = createApp({ ...api.deps, store: { ...api.deps.store, ping } });
    const response = await app.request('/healthz');
    assert.equal(response.status, 200);
    const { parts } = (await response.json()) as { parts: unknown };
    assert.deepEqual(parts, {
      store: { state: 'down', detail: 'cannot be reached or is too busy' },
      probe: { state: 'up' },
      ingest: { state: 'degraded', detail: 'behind' },
    });
  });

  it('becomes 500 without internals when it is a bug, which the log explains under the same id', async () => {
    const query = () => Promise.reject(new Error('secret internals'));
    const app = createApp({ ...api.deps, store: { ...api.deps.store, query } });
    parts.lines.length = 0;
    const response = await app.request('/v1/audit', { headers: headers() });
    assert.equal(response.status, 500);
    const problem = (await response.json()) as { request_id: string };
    assert.doesNotMatch(JSON.stringify(problem), /secret internals/);
    const logged = parts.lines.map((line) => JSON.parse(line)).find(({ level }) => level === 'error');
    assert.equal(logged.request_id, problem.request_id);
    assert.equal(logged.err.message, 'secret internals');
  });
});

describe('health', () => {
  it('is open and shows what runs', async () => {
    const { status, json } = await api.ask('/healthz', { role: null });
    assert.equal(status, 200);
    assert.equal(json.mode, 'live');
    assert.equal(json.hooks, 'tracepoint');
    assert.deepEqual(json.parts.store, { state: 'up' });
    assert.deepEqual(json.parts.ingest, { state: 'degraded', detail: 'behind' });
    assert.match(json.versions.clickhouse, /^\d+\.\d+\./);
    assert.match(json.versions.schema, /^\d+$/);
    const ready = await api.ask('/readyz', { role: null });
    assert.deepEqual(ready.json, { ready: true, checks: { store: 'up' } });
  });
});
