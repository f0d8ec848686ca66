import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bus, Message } from '@bintrail/runtime/bus.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createMetrics } from '@bintrail/runtime/metrics.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { openOutbox } from './outbox.ts';

const folder = mkdtempSync(join(tmpdir(), 'bintrail-outbox-'));
after(() => rmSync(folder, { recursive: true }));
const log = createLog({ level: 'fatal', name: 'test' });

/** A real bus that can be out of reach; `arrived` is what it holds, in its order. */
async function openUpstream(name: string) {
  const bus = openSqliteBus({ path: join(folder, `${name}-upstream.db`), compactedTopics: [] });
  const arrived: string[] = [];
  const follower = await bus.follow(TOPICS.events, (records) => {
    for (const { value } of records) arrived.push(Buffer.from(value).toString());
  });
  const link = { up: true, loseAnswers: 0 };
  const take = async (messages: readonly Message[]) => {
    if (!link.up) throw new Transient('out of reach');
    await bus.publish(TOPICS.events, messages);
    if (link.loseAnswers-- > 0) throw new Transient('the answer was lost');
  };
  const close = async () => {
    await follower.close();
    await bus.close();
  };
  return { take, link, arrived, close };
}

const openFile = (name: string, maxBytes = 64 * 1024 * 1024): Bus =>
  openSqliteBus({ path: join(folder, `${name}.db`), compactedTopics: [], maxBytes });
const open = (file: Bus, upstream: Awaited<ReturnType<typeof openUpstream>>) =>
  openOutbox({ file, upstream: upstream.take, log, metrics: createMetrics() });
const message = (text: string): Message => ({ key: 'node', value: Buffer.from(text) });

async function until(what: () => boolean): Promise<void> {
  for (const endMs = Date.now() + 30_000; !what(); await delay(5)) assert.ok(Date.now() < endMs, 'took too long');
}

const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => `${from + index}`);

describe('an outbox', () => {
  it('writes nothing to its file while the bus takes everything', async () => {
    const [file, upstream] = [openFile('direct'), await openUpstream('direct')];
    const outbox = await open(file, upstream);
    for (const text of numbered(0, 20)) await outbox.publish([message(text)]);
    await until(() => upstream.arrived.length === 20);
    assert.deepEqual(upstream.arrived, numbered(0, 20));
    assert.equal((await file.lag(TOPICS.events, 'outbox')).records, 0);
    assert.equal(outbox.depth(), 0);
    await outbox.close();
    await Promise.all([file.close(), upstream.close()]);
  });

  it('keeps the order over an outage, a restart within it, and what is made while the file is emptied', async () => {
    const upstream = await openUpstream('outage');
    let file = openFile('outage');
    let outbox = await open(file, upstream);
    for (const text of numbered(0, 5)) await outbox.publish([message(text)]);
    upstream.link.up = false;
    for (const text of numbered(5, 700)) await outbox.publish([message(text)]);
    assert.equal(outbox.depth(), 695);
    await outbox.close();
    await file.close();

    file = openFile('outage');
    outbox = await open(file, upstream);
    assert.equal(outbox.depth(), 695);
    for (const text of numbered(700, 720)) await outbox.publish([message(text)]);
    upstream.link.up = true;
    for (const text of numbered(720, 900)) await outbox.publish([message(text)]);
    await until(() => upstream.arrived.length >= 900 && outbox.depth() === 0);
    for (const text of numbered(900, 905)) await outbox.publish([message(text)]);
    await until(() => upstream.arrived.length >= 905);
    assert.deepEqual(upstream.arrived, numbered(0, 905));
    await outbox.close();
    await Promise.all([file.close(), upstream.close()]);
  });

  it('repeats a message whose answer was lost, and leaves none out', async () => {
    const [file, upstream] = [openFile('lost'), await openUpstream('lost')];
    const outbox = await open(file, upstream);
    upstream.link.loseAnswers = 1;
    for (const text of numbered(0, 10)) await outbox.publish([message(text)]);
    await until(() => outbox.depth() === 0 && upstream.arrived.length === 11);
    assert.deepEqual(upstream.arrived, ['0', ...numbered(0, 10)]);
    await outbox.close();
    await Promise.all([file.close(), upstream.close()]);
  });

  it('refuses what its file has no room for, keeps what it has, and takes more once there is room', async () => {
    const [file, upstream] = [openFile('full', 1024 * 1024), await openUpstream('full')];
    const outbox = await open(file, upstream);
    upstream.link.up = false;
    // Random, as the file packs its rows.
    const large = (text: string) =>
      message(`${text} ${Buffer.from(crypto.getRandomValues(new Uint8Array(32_768))).toString('hex')}`);
    let taken = 0;
    await assert.rejects(async () => {
      for (; taken < 1_000; taken++) await outbox.publish([large(`${taken}`)]);
    }, Transient);
    assert.ok(taken > 3 && taken < 100, `${taken} of 64 KiB`);
    assert.equal(outbox.depth(), taken);
    upstream.link.up = true;
    await until(() => outbox.depth() === 0);
    await outbox.publish([large(`${taken}`)]);
    await until(() => upstream.arrived.length === taken + 1);
    assert.deepEqual(
      upstream.arrived.map((text) => text.split(' ')[0]),
      numbered(0, taken + 1),
    );
    await outbox.close();
    await Promise.all([file.close(), upstream.close()]);
  });
});
