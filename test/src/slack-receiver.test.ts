import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type ReceiverOptions, readFaults, startSlackReceiver } from './slack-receiver.ts';

const closers: (() => Promise<unknown>)[] = [];
after(async () => {
  for (const close of closers) await close();
});

async function start(options: ReceiverOptions = { minIntervalMs: 0 }) {
  const receiver = await startSlackReceiver(options);
  closers.push(receiver.close);
  const post = async (body: unknown, url = receiver.url) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    return { status: response.status, body: await response.text(), retryAfter: response.headers.get('retry-after') };
  };
  return { receiver, post };
}

const text = (length: number, type = 'mrkdwn') => ({ type, text: 'x'.repeat(length) });

test('a good message is taken, kept and answered ok', async () => {
  const { receiver, post } = await start();
  const message = { text: 'hello', blocks: [{ type: 'section', text: text(3000) }] };
  assert.deepEqual(await post(message), { status: 200, body: 'ok', retryAfter: null });
  assert.deepEqual({ ...receiver.messages[0], atMs: 0 }, { ...message, atMs: 0 });
});

const REFUSED: [string, unknown, string][] = [
  ['no JSON', '{', 'invalid_payload'],
  ['no object', [], 'invalid_payload'],
  ['a text that is none', { text: 1 }, 'invalid_payload'],
  ['nothing to show', {}, 'no_text'],
  ['an empty text', { text: '' }, 'no_text'],
  ['blocks that are no list', { blocks: {} }, 'invalid_blocks_format'],
  ['51 blocks', { text: 'x', blocks: Array(51).fill({ type: 'divider' }) }, 'invalid_blocks'],
  ['an unknown block', { text: 'x', blocks: [{ type: 'video' }] }, 'invalid_blocks'],
  ['a long header', { blocks: [{ type: 'header', text: text(151, 'plain_text') }] }, 'invalid_blocks'],
  ['a header in mrkdwn', { blocks: [{ type: 'header', text: text(5) }] }, 'invalid_blocks'],
  ['a long section', { blocks: [{ type: 'section', text: text(3001) }] }, 'invalid_blocks'],
  ['an empty section', { blocks: [{ type: 'section' }] }, 'invalid_blocks'],
  ['an empty text object', { blocks: [{ type: 'section', text: text(0) }] }, 'invalid_blocks'],
  ['11 fields', { blocks: [{ type: 'section', fields: Array(11).fill(text(1)) }] }, 'invalid_blocks'],
  ['a long field', { blocks: [{ type: 'section', fields: [text(2001)] }] }, 'invalid_blocks'],
  ['an unknown property', { blocks: [{ type: 'section', text: text(1), color: 'red' }] }, 'invalid_blocks'],
  ['too much in all', { blocks: Array(5).fill({ type: 'section', text: text(2900) }) }, 'msg_blocks_too_long'],
];

for (const [what, payload, word] of REFUSED) {
  test(`${what} is refused with ${word}`, async () => {
    const { receiver, post } = await start();
    assert.deepEqual(await post(payload), { status: 400, body: word, retryAfter: null });
    assert.equal(receiver.messages.length, 0);
  });
}

test('another path is no service', async () => {
  const { receiver, post } = await start();
  assert.deepEqual(await post({ text: 'x' }, `${receiver.url}x`), {
    status: 404,
    body: 'no_service',
    retryAfter: null,
  });
});

test('more than one message an interval is answered 429 until it is over', async () => {
  let nowMs = 0;
  const { receiver, post } = await start({ minIntervalMs: 2000, clock: () => nowMs });
  assert.equal((await post({ text: '1' })).status, 200);
  nowMs = 1999;
  assert.deepEqual(await post({ text: '2' }), { status: 429, body: 'rate_limited', retryAfter: '2' });
  nowMs = 2000;
  assert.equal((await post({ text: '3' })).status, 200);
  assert.deepEqual(
    receiver.messages.map((message) => message.text),
    ['1', '3'],
  );
});

test('faults come once each, in order, and record what they say', async () => {
  const { receiver, post } = await start();
  receiver.fail(...readFaults('429:7,500,garbage,reset,reset-after'));
  assert.deepEqual(await post({ text: 'a' }), { status: 429, body: 'rate_limited', retryAfter: '7' });
  assert.equal((await post({ text: 'b' })).status, 500);
  assert.notEqual((await post({ text: 'c' })).body, 'ok');
  await assert.rejects(post({ text: 'd' }));
  await assert.rejects(post({ text: 'e' }));
  assert.equal((await post({ text: 'f' })).body, 'ok');
  assert.deepEqual(
    receiver.messages.map((message) => message.text),
    ['e', 'f'],
  );
  assert.deepEqual(
    receiver.attempts.map(({ outcome }) => outcome),
    ['rate-limited', 'status', 'garbage', 'reset', 'reset', 'ok'],
  );
});

test('a hanging post gets no answer, and does not keep the receiver from closing', async () => {
  const { receiver, post } = await start();
  receiver.fail({ kind: 'hang', recorded: true });
  const answer = post({ text: 'h' });
  const failed = assert.rejects(answer);
  await receiver.until(() => receiver.attempts.length === 1);
  assert.equal(receiver.messages.length, 1);
  await receiver.close();
  await failed;
});

test('hanging up ends a post that hangs', async () => {
  const { receiver, post } = await start();
  receiver.fail({ kind: 'hang', recorded: false });
  const failed = assert.rejects(post({ text: 'h' }));
  await receiver.until(() => receiver.attempts.length === 1);
  receiver.hangUp();
  await failed;
  assert.equal((await post({ text: 'i' })).body, 'ok');
});

test('an unknown fault is named', () => {
  assert.throws(() => readFaults('500,flood'), /flood/);
});

test('run by hand it prints where it listens, and each message as a line of JSON', async () => {
  const program = fileURLToPath(new URL('./slack-receiver.ts', import.meta.url));
  const child: ChildProcess = spawn(process.execPath, [program, '--faults', '500'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  closers.push(async () => child.kill());
  const [line] = (await once(createInterface(child.stderr!), 'line')) as [string];
  const url = line.replace('SLACK_WEBHOOK_URL=', '');
  const printed = once(createInterface(child.stdout!), 'line');
  const send = () =>
    fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"text":"hi"}' });
  assert.equal((await send()).status, 500);
  assert.equal((await send()).status, 200);
  assert.equal(JSON.parse((await printed)[0] as string).text, 'hi');
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});
