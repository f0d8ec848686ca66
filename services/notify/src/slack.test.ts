import assert from 'node:assert/strict';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { startSlackReceiver } from '@bintrail/test/slack-receiver.ts';
import { createPost, type PostResult, retryAfterMs } from './slack.ts';

const closers: (() => unknown)[] = [];
after(async () => {
  for (const close of closers) await close();
});

const message = { text: 'hello' };
/** Long enough never to matter, but for the test that waits for it. */
const options = { timeoutMs: 60_000, clock: () => Date.parse('2026-11-23T12:00:00Z') };

async function listen(server: Server, protocol = 'http'): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => server.close());
  return `${protocol}://127.0.0.1:${(server.address() as AddressInfo).port}/services/T0/B0/secret`;
}

async function postTo(url: string, timeoutMs = options.timeoutMs): Promise<PostResult> {
  return createPost(url, { ...options, timeoutMs })(message, () => true);
}

/** The result of a post that is answered so. */
async function answered(answer: RequestListener): Promise<PostResult> {
  return postTo(await listen(createHttpServer(answer)));
}

const status = (code: number, body: string, headers: Record<string, string> = {}) =>
  answered((_, response) => response.writeHead(code, headers).end(body));

test('a message that Slack takes is sent, as JSON', async () => {
  const receiver = await startSlackReceiver();
  closers.push(receiver.close);
  assert.deepEqual(await postTo(receiver.url), { kind: 'sent' });
  assert.equal(receiver.messages[0]?.text, 'hello');
});

test('ok counts only as the whole answer with status 200', async () => {
  assert.deepEqual(await status(200, 'ok\n'), { kind: 'sent' });
  assert.deepEqual(await status(200, '<html>ok</html>'), { kind: 'unknown', code: 'not_ok' });
  assert.deepEqual(await status(200, ''), { kind: 'unknown', code: 'not_ok' });
  assert.deepEqual(await status(202, 'ok'), { kind: 'unknown', code: 'http_202' });
});

test('Retry-After is taken as seconds and as a date', async () => {
  const refused = (retryAfterMs?: number, code = 'http_429') => ({ kind: 'refused', code, retryAfterMs });
  assert.deepEqual(await status(429, 'rate_limited', { 'retry-after': '30' }), refused(30_000));
  const date = 'Mon, 23 Nov 2026 12:01:00 GMT';
  assert.deepEqual(await status(503, '', { 'retry-after': date }), refused(60_000, 'http_503'));
  assert.deepEqual(await status(429, '', { 'retry-after': 'soon' }), refused(undefined));
  assert.deepEqual(await status(500, 'rollup_error'), refused(undefined, 'http_500'));
  assert.equal(retryAfterMs('Mon, 23 Nov 2020 12:01:00 GMT', options.clock()), 0);
  assert.equal(retryAfterMs('-1', options.clock()), undefined);
});

test('a gateway that answers for Slack may have passed the message on', async () => {
  for (const code of [408, 502, 504]) {
    assert.deepEqual(await status(code, ''), { kind: 'unknown', code: `http_${code}` });
  }
});

const REJECTIONS: [number, string, string, string][] = [
  [400, 'invalid_payload', 'message', 'invalid_payload'],
  [400, 'invalid_blocks', 'message', 'invalid_blocks'],
  [400, 'something new', 'message', 'http_400'],
  [413, '', 'message', 'http_413'],
  [400, 'user_not_found', 'webhook', 'user_not_found'],
  [403, 'action_prohibited', 'webhook', 'action_prohibited'],
  [403, 'invalid_token', 'webhook', 'invalid_token'],
  [404, 'no_service', 'webhook', 'no_service'],
  [404, 'constructor', 'webhook', 'http_404'],
  [410, 'channel_is_archived', 'webhook', 'channel_is_archived'],
];

for (const [code, body, scope, word] of REJECTIONS) {
  test(`${code} ${body} is rejected for the ${scope}, with a remedy`, async () => {
    const result = await status(code, body);
    assert.ok(result.kind === 'rejected' && result.remedy.length > 20);
    assert.deepEqual({ scope: result.scope, code: result.code }, { scope, code: word });
  });
}

test('a redirect is not followed', async () => {
  let elsewhere = 0;
  const target = await listen(
    createHttpServer((_, response) => {
      elsewhere += 1;
      response.end('ok');
    }),
  );
  const result = await status(307, '', { location: target });
  assert.equal(result.kind === 'rejected' && result.code, 'http_307');
  assert.equal(elsewhere, 0);
});

test('an endless answer is cut off', async () => {
  const result = await answered((_, response) => {
    const more = () => {
      while (!response.destroyed && response.write('ok'.repeat(5000)));
      response.once('drain', more);
    };
    more();
  });
  assert.deepEqual(result, { kind: 'unknown', code: 'not_ok' });
});

test('nobody listening is certainly not delivered', async () => {
  const server = createServer();
  const url = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  assert.deepEqual(await postTo(url), { kind: 'refused', code: 'econnrefused', retryAfterMs: undefined });
});

test('a TLS handshake that fails is certainly not delivered', async () => {
  const url = await listen(
    createServer((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nok')),
    'https',
  );
  assert.equal((await postTo(url)).kind, 'refused');
});

test('a TLS handshake that never ends is certainly not delivered', async () => {
  const open: Socket[] = [];
  closers.push(() => open.map((socket) => socket.destroy()));
  const url = await listen(
    createServer((socket) => open.push(socket.on('error', () => {}))),
    'https',
  );
  assert.deepEqual(await postTo(url, 50), { kind: 'refused', code: 'timeout', retryAfterMs: undefined });
});

test('a reset after the request left, and an answer that never comes, may have been delivered', async () => {
  const receiver = await startSlackReceiver();
  closers.push(receiver.close);
  for (const recorded of [false, true]) {
    receiver.fail({ kind: 'reset', recorded });
    assert.deepEqual(await postTo(receiver.url), { kind: 'unknown', code: 'econnreset' });
  }
  receiver.fail({ kind: 'hang', recorded: true });
  assert.deepEqual(await postTo(receiver.url, 1000), { kind: 'unknown', code: 'timeout' });
});

test('an answer that breaks off may have been delivered', async () => {
  const result = await answered((_, response) => {
    response.writeHead(200, { 'content-length': '2' });
    response.write('o', () => response.destroy());
  });
  assert.equal(result.kind, 'unknown');
});

test('a URL that is none is named without being repeated', () => {
  for (const url of ['hooks.slack.com/services/secret', 'file:///etc/secret', '']) {
    assert.throws(
      () => createPost(url, options),
      (error) => error instanceof SetupError && !`${error.message} ${error.remedy}`.includes('secret'),
    );
  }
});

test('a message that is not ours any more when the connection stands does not leave', async (t) => {
  const receiver = await startSlackReceiver();
  t.after(() => receiver.close());
  const send = createPost(receiver.url, { ...options, timeoutMs: 5_000 });
  const refused = { kind: 'refused', code: 'not_ours', retryAfterMs: undefined };
  assert.deepEqual(await send(message, () => false), refused);
  assert.deepEqual(await send(message, () => true), { kind: 'sent' });
  assert.equal(receiver.attempts.length, 1);
});
