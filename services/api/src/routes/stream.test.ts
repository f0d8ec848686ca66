import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createStoreEvents } from '@bintrail/ingest/events-stage.ts';
import { planOf } from '@bintrail/ingest/store.fixture.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { blankRow } from '@bintrail/schemas/event-rows.fixture.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import { openTestApi, startParts, type TestApi, type TestParts } from '../api.fixture.ts';
import { BOOT } from '../events.fixture.ts';
import { createFeed, type Feed } from '../feed.fixture.ts';
import { listen } from '../listen.ts';
import { MAX_STREAMS } from './stream.ts';

let parts: TestParts;
let api: TestApi;
let feed: Feed;
let seq = 0;
let pid = 10_000;

before(async () => {
  parts = await startParts();
  api = await openTestApi(parts);
  feed = createFeed(parts.store);
});
after(async () => {
  await api.close();
  await parts.stop();
});

/** Stores execs and exits of these processes as one plan made at that time; the newest pid is answered. */
async function store(count: number, atMs = Date.now(), node = 'node-s'): Promise<number[]> {
  const pids = Array.from({ length: count }, () => pid++);
  const header = () => ({ node, boot: BOOT, probeEpoch: 1n, batchSeq: seq++ });
  const ts = BigInt(atMs) * 1_000_000n;
  const execs = pids.map((one) => blankRow(EVENTS.exec, { ts, pid: one, workload: 'host', digest_reason: 'vanished' }));
  const exits = pids.map((one) => blankRow(EVENTS.exit, { ts, pid: one, workload: 'host' }));
  const from = seq * 10;
  const messages = [encodeBatch(EVENTS.exec, header(), execs), encodeBatch(EVENTS.exit, header(), exits)];
  await createStoreEvents(parts.store)(planOf(messages, { atMs, from }));
  return pids;
}

// biome-ignore lint/suspicious/noExplicitAny: what a test asserts on is what types it
type Frame = { readonly event: string | undefined; readonly id: string | undefined; readonly data: any };

async function open(query = '', lastId?: string, on = api) {
  const headers = { authorization: `Bearer ${on.secrets.viewer}`, ...(lastId && { 'last-event-id': lastId }) };
  const response = await on.app.request(`/v1/events/stream?${query}`, { headers });
  assert.equal(response.status, 200, response.status === 200 ? '' : await response.text());
  return { response, ...reading(response) };
}

function reading(response: Response) {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  const next = async (): Promise<Frame | undefined> => {
    while (!text.includes('\n\n')) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      text += value;
    }
    const end = text.indexOf('\n\n');
    const lines = text.slice(0, end).split('\n');
    text = text.slice(end + 2);
    const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    return { event: field('event'), id: field('id'), data: JSON.parse(field('data') ?? 'null') };
  };
  /** The next frames that carry something, and the last id after them. */
  const take = async (count: number) => {
    const frames: Frame[] = [];
    while (frames.length < count) {
      const frame = await next();
      assert.ok(frame !== undefined, 'the stream ended');
      if (frame.event !== undefined) frames.push(frame);
    }
    return frames;
  };
  return { next, take, leave: () => reader.cancel() };
}

const named = (frames: readonly Frame[]) => frames.map(({ data }) => `${data.type} ${data.pid}`).sort();
const both = (pids: readonly number[]) => pids.flatMap((one) => [`exec ${one}`, `exit ${one}`]).sort();

describe('the stream', () => {
  it('sends what is stored from now on, each once, with the content type of server-sent events', async () => {
    await store(3);
    const { response, take, leave } = await open();
    assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
    const first = await store(2);
    assert.deepEqual(named(await take(4)), both(first));
    const second = await store(1);
    const frames = await take(2);
    assert.deepEqual(named(frames), both(second));
    assert.deepEqual(
      frames.map(({ event }) => event),
      ['event', 'event'],
    );
    const [exec] = (await api.ask(`/v1/events?pid=${second[0]}&type=exec`)).json.items;
    assert.deepEqual(frames.find(({ data }) => data.type === 'exec')?.data, exec);
    await leave();
  });

  it('sends what a slow writer stores late', async () => {
    const { take, leave } = await open('type=exec');
    await store(1);
    await take(1);
    const late = await store(2, Date.now() - 20_000);
    assert.deepEqual((await take(2)).map(({ data }) => data.pid).sort(), late);
    await leave();
  });

  it('never skips on a resume, wherever it was cut', async () => {
    const { next, leave } = await open('node=node-cut');
    const begin = (await next())!.id;
    await leave();
    const expected: string[] = [];
    for (let plan = 0; plan < 5; plan++) {
      expected.push(...both(await store(2, Date.now() - 100_000 + plan * 20_000, 'node-cut')));
    }
    const seen = new Set<string>();
    // Positions lie before the plans: their times are old on purpose.
    let id = Buffer.from(JSON.stringify([1, Date.now() - 150_000, 0])).toString('base64url');
    for (let cut = 0; seen.size < expected.length; cut++) {
      assert.ok(cut < 20, 'gets nowhere');
      const stream = await open('node=node-cut', id);
      // Those that repeat stand in front; each time one more is read.
      const frames = await stream.take(1 + cut);
      for (const name of named(frames)) seen.add(name);
      id = frames.at(-1)!.id!;
      await stream.leave();
    }
    assert.deepEqual([...seen].sort(), expected.sort());
    const missed = await store(1, Date.now(), 'node-cut');
    const resumed = await open('node=node-cut', begin);
    const left = new Set(both(missed));
    while (left.size > 0) for (const name of named(await resumed.take(1))) left.delete(name);
    await resumed.leave();
  });

  it('sends findings, and filters', async () => {
    const sha256 = 'c7'.repeat(32);
    const bytes = Buffer.from(sha256, 'hex').toString('latin1');
    const all = await open('type=finding');
    const byDigest = await open(`sha256=${sha256}`);
    const elsewhere = await open('workload=host&node=nowhere');
    const ts = BigInt(Date.now()) * 1_000_000n;
    const [finding] = await feed.exec([{ ts, sha256: bytes, workload: 'session/eve' }, { ts }], { node: 'node-f' });
    const frames = await all.take(2);
    assert.deepEqual(
      frames.map(({ event }) => event),
      ['finding', 'finding'],
    );
    const shown = frames.find(({ data }) => data.id === finding?.finding_id);
    assert.deepEqual(shown?.data, (await api.ask(`/v1/findings/${finding?.finding_id}`)).json);
    assert.deepEqual((await byDigest.take(2)).map(({ event, data }) => [event, data.sha256]).sort(), [
      ['event', sha256],
      ['finding', sha256],
    ]);
    await store(1, Date.now(), 'nowhere');
    assert.deepEqual(
      (await elsewhere.take(2)).map(({ data }) => data.node),
      ['nowhere', 'nowhere'],
    );
    for (const stream of [all, byDigest, elsewhere]) await stream.leave();
  });

  it('says what is no longer kept', async () => {
    const { take, leave } = await open('', Buffer.from('[1,1000,1000]').toString('base64url'));
    const [gap] = await take(1);
    assert.equal(gap?.event, 'gap');
    assert.equal(gap?.data.since, '1970-01-01T00:00:01.000Z');
    assert.ok(Date.parse(gap?.data.until) < Date.now() - 89 * 86_400_000);
    await leave();
  });

  it('ends when the server closes, or its token does', async () => {
    const closing = new AbortController();
    let nowMs = Date.now();
    const other = await openTestApi(parts, { closing: closing.signal, clock: () => nowMs });
    const { tokens } = other.deps;
    const itsToken = tokens.list().find(({ id }) => other.secrets.viewer.includes(id));
    const ofViewer = await open('', undefined, other);
    const headers = { authorization: `Bearer ${other.secrets.analyst}` };
    const ofAnalyst = reading(await other.app.request('/v1/events/stream', { headers }));
    await tokens.revoke(itsToken!);
    nowMs += 16_000;
    while ((await ofViewer.next()) !== undefined);
    assert.ok((await ofAnalyst.next())?.id);
    closing.abort();
    while ((await ofAnalyst.next()) !== undefined);
    await other.close();
  });

  it('is bounded for each token, and free again when a client leaves', async () => {
    const server = await listen(api.app, { host: '127.0.0.1', port: 0 });
    const ask = (signal?: AbortSignal) =>
      fetch(`${server.url}/v1/events/stream`, {
        headers: { authorization: `Bearer ${api.secrets.analyst}` },
        ...(signal && { signal }),
      });
    const left = new AbortController();
    const streams = [await ask(left.signal)];
    while (streams.length < MAX_STREAMS) streams.push(await ask());
    const refused = await ask();
    assert.equal(refused.status, 429);
    assert.equal(refused.headers.get('content-type'), 'application/problem+json');
    assert.ok(Number(refused.headers.get('retry-after')) > 0);
    await refused.text();
    left.abort();
    let again = await ask();
    while (again.status === 429) {
      await again.text();
      again = await ask();
    }
    assert.equal(again.status, 200);
    for (const { body } of [...streams.slice(1), again]) await body?.cancel();
    await server.close();
  });

  it('refuses what is not valid', async () => {
    for (const query of ['type=fork', 'sha256=x', 'since=now', "type=exec'%20OR%201=1"]) {
      assert.equal((await api.ask(`/v1/events/stream?${query}`)).status, 400, query);
    }
    for (const id of ['x', "' OR 1=1 --", Buffer.from('[1,-1,0]').toString('base64url')]) {
      const { status, json } = await api.ask('/v1/events/stream', { headers: { 'last-event-id': id } });
      assert.deepEqual([status, json.errors[0].at], [400, 'Last-Event-ID'], id);
    }
    assert.equal((await api.ask('/v1/events/stream', { role: null })).status, 401);
    for (const name of ['workload', 'node']) {
      const { next, leave } = await open(`${name}=${encodeURIComponent("' OR '1'='1")}`);
      assert.ok((await next())?.id);
      await leave();
    }
  });
});
