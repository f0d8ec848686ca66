import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { openTestApi, startParts, type TestApi, type TestParts } from './api.fixture.ts';
import { createApp } from './app.ts';
import { type Listening, listen } from './listen.ts';

let parts: TestParts;
let api: TestApi;
let listening: Listening;

before(async () => {
  parts = await startParts();
  api = await openTestApi(parts);
  listening = await listen(api.app, { host: '127.0.0.1', port: 0 });
});
after(async () => {
  await listening.close();
  await api.close();
  await parts.stop();
});

/** Sends bytes as they are and reads until the server closes. */
async function raw(text: string): Promise<string> {
  const socket = connect(Number(new URL(listening.url).port), '127.0.0.1');
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  socket.on('error', () => {});
  socket.write(text);
  await once(socket, 'close');
  return answer;
}

function problemIn(answer: string): { type: string; status: number } {
  assert.match(answer, /content-type: application\/problem\+json/i);
  return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));
}

const authorization = () => ({ authorization: `Bearer ${api.secrets.admin}` });

describe('listen', () => {
  it('serves the app on the port it names', async () => {
    const response = await fetch(`${listening.url}/v1/approvals`, { headers: authorization() });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('cache-control'), 'no-store');
    assert.equal((await fetch(`${listening.url}/v1/approvals`)).status, 401);
  });

  it('logs who asked', async () => {
    parts.lines.length = 0;
    await fetch(`${listening.url}/healthz`);
    assert.equal(JSON.parse(parts.lines[0]!).from, '127.0.0.1');
  });

  it('refuses a body over the limit, whether it says its length or not', async () => {
    const headers = { ...authorization(), 'content-type': 'application/json' };
    const long = await fetch(`${listening.url}/v1/approvals`, {
      method: 'POST',
      headers,
      body: 'x'.repeat(10_000_000),
    });
    assert.equal(long.status, 413);
    const chunked = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(65_536).fill(0x20)),
    });
    const request = { method: 'POST', headers, body: chunked, duplex: 'half' } as const;
    const endless = await fetch(`${listening.url}/v1/approvals`, request);
    assert.equal(endless.status, 413);
    assert.equal(endless.headers.get('content-type'), 'application/problem+json');
  });

  it('answers what is no HTTP, and headers that are too long, with problems', async () => {
    assert.equal(problemIn(await raw('hello\r\n\r\n')).status, 400);
    const long = `GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`;
    assert.equal(problemIn(await raw(long)).status, 431);
  });

  it('answers a host and methods that cannot be, with problems', async () => {
    const close = 'Connection: close\r\n\r\n';
    assert.equal(problemIn(await raw(`GET / HTTP/1.1\r\nHost: a b\r\n${close}`)).status, 400);
    assert.equal(problemIn(await raw(`TRACE /v1/approvals HTTP/1.1\r\nHost: x\r\n${close}`)).status, 405);
    assert.equal(problemIn(await raw(`GET /\\..\\etc HTTP/1.1\r\nHost: x\r\n${close}`)).status, 400);
  });

  it('does not leave the folder of the documentation', async () => {
    for (const path of ['/docs/../package.json', '/docs/%2e%2e/package.json', '/docs/..%2fpackage.json', '/docs/x']) {
      assert.equal(problemIn(await raw(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)).status, 404);
    }
  });

  it('says what to do when the address is taken', async () => {
    const port = Number(new URL(listening.url).port);
    const refused = listen(api.app, { host: '127.0.0.1', port });
    await assert.rejects(refused, (error) => error instanceof SetupError && error.remedy.includes('BINTRAIL_PORT'));
  });

  it('lets a running answer end when it closes, streams by the signal, and accepts nothing more', async () => {
    const closing = new AbortController();
    const app = createApp({ ...api.deps, closing: closing.signal });
    const started = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    app.get('/slow', async (c) => {
      started.resolve();
      await finish.promise;
      return c.text('done');
    });
    app.get('/stream', (c) => {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(Buffer.from('first'));
          c.var.deps.closing.addEventListener('abort', () => controller.close());
        },
      });
      return c.body(body);
    });
    const server = await listen(app, { host: '127.0.0.1', port: 0 });
    const slow = fetch(`${server.url}/slow`);
    const stream = await fetch(`${server.url}/stream`);
    await started.promise;
    closing.abort();
    const closed = server.close();
    await assert.rejects(fetch(`${server.url}/healthz`));
    finish.resolve();
    assert.equal(await (await slow).text(), 'done');
    assert.equal(await stream.text(), 'first');
    await closed;
  });

  it('is closed as soon as the last answer is, also where its connection would be kept', {
    timeout: 30_000,
  }, async () => {
    const asked = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    const app = createApp(api.deps);
    app.get('/slow', async (c) => {
      asked.resolve();
      await finish.promise;
      return c.text('done');
    });
    const server = await listen(app, { host: '127.0.0.1', port: 0, closeBoundMs: 3_600_000 });
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.resume();
    socket.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
    await asked.promise;
    const closed = server.close();
    finish.resolve();
    await closed;
    socket.destroy();
  });
});

describe('/docs', () => {
  it('is there without a token and loads nothing from elsewhere', async () => {
    const response = await fetch(`${listening.url}/docs`);
    assert.equal(response.status, 200);
    const policy = response.headers.get('content-security-policy') ?? '';
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /script-src 'self'/);
    const page = await response.text();
    assert.doesNotMatch(page, /https?:|<script>|\son\w+=/);
    const links = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link!);
    assert.equal(links.length, 4);
    for (const link of links) {
      const file = await fetch(new URL(link, listening.url));
      assert.equal(file.status, 200, link);
      assert.doesNotMatch(file.headers.get('content-type') ?? '', /json/);
      assert.ok((await file.arrayBuffer()).byteLength > 50);
    }
    assert.match(await (await fetch(`${listening.url}/docs/start.js`)).text(), /'\/openapi\.json'/);
  });

  it('shows the document that is served', async () => {
    const document = (await (await fetch(`${listening.url}/openapi.json`)).json()) as { openapi: string };
    assert.equal(document.openapi, '3.1.0');
  });
});
