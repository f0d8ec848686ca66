import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { ago, type FindingsApi, fresh, NO_DIGEST, openFindings } from '../findings.fixture.ts';

const time = (ns: bigint) => `${new Date(Number(ns / 1_000_000n)).toISOString().slice(0, 19)}Z`;

let f: FindingsApi;

before(async () => {
  f = await openFindings();
});
after(() => f.stop());

describe('the list', () => {
  it('filters by rule, digest, workload, node and state', async () => {
    const memfd = { flags: flagBit('memfd'), workload: 'session/eve', path: '/memfd:x' };
    const fileless = await f.one(memfd, 'node-list');
    const other = await f.one({ workload: 'session/eve' });
    assert.deepEqual(await f.idsOf('rule=fileless-exec&workload=session%2Feve'), [fileless.id]);
    assert.deepEqual(await f.idsOf('node=node-list'), [fileless.id]);
    assert.deepEqual(await f.idsOf(`sha256=${other.sha256.toUpperCase()}`), [other.id]);
    assert.deepEqual((await f.idsOf('workload=session%2Feve')).toSorted(), [fileless.id, other.id].toSorted());
    await f.acknowledge(other.id);
    assert.deepEqual(await f.idsOf('workload=session%2Feve&state=acknowledged'), [other.id]);
    assert.deepEqual(await f.idsOf('workload=session%2Feve&state=open'), [fileless.id]);
    assert.deepEqual(await f.idsOf('workload=session%2Feve&state=resolved'), []);
    assert.deepEqual(await f.idsOf('node=nowhere'), []);
  });

  it('filters by the time they were seen, also again', async () => {
    const workload = 'systemd/windows.service';
    const old = await f.one({ workload, ts: ago(50) });
    const again = await f.one({ workload, ts: ago(40) });
    await f.feed.exec([{ ...again.facts, ts: ago(10) }], { store: 'events' });
    const of = (query: string) => f.idsOf(`workload=${encodeURIComponent(workload)}&${query}`);
    assert.deepEqual(await of('since=now-20h'), [again.id]);
    assert.deepEqual(await of(`since=${time(ago(45))}`), [again.id]);
    assert.deepEqual(await of(`until=${time(ago(45))}`), [old.id]);
    assert.deepEqual(await of(`until=${time(ago(55))}`), []);
    assert.deepEqual(await of('since=now-60h&until=now'), [again.id, old.id]);
  });

  it('asks each workload for itself whether it was seen there and then', async () => {
    const sha256 = fresh();
    const here = await f.one({ sha256, workload: 'systemd/here.service', ts: ago(30) }, 'node-here');
    const there = await f.one({ sha256, workload: 'systemd/there.service', ts: ago(2) }, 'node-there');
    const of = (query: string) => f.idsOf(`sha256=${here.sha256}&${query}`);
    assert.deepEqual(await of('node=node-here'), [here.id]);
    assert.deepEqual(await of('node=node-there'), [there.id]);
    assert.deepEqual(await of('since=now-10h'), [there.id]);
  });

  it('asks paths as it asks digests', async () => {
    const missing = { ...NO_DIGEST, workload: 'systemd/paths.service' };
    const [old] = await f.feed.exec([{ ...missing, path: '/old', ts: ago(30) }], { node: 'node-old' });
    const [recent] = await f.feed.exec([{ ...missing, path: '/recent', ts: ago(2) }], { node: 'node-recent' });
    const of = (query: string) => f.idsOf(`workload=systemd%2Fpaths.service&${query}`);
    assert.deepEqual(await of('node=node-old'), [old!.finding_id]);
    assert.deepEqual(await of('since=now-10h'), [recent!.finding_id]);
  });

  it('pages through all once, newest first sight first, while new ones come in', async () => {
    const workload = 'systemd/pages.service';
    const made: string[] = [];
    for (let hours = 10; hours > 0; hours--) made.unshift((await f.one({ workload, ts: ago(hours) })).id);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const query = `workload=${encodeURIComponent(workload)}&limit=3${cursor === null ? '' : `&cursor=${cursor}`}`;
      const { json } = await f.api.ask(`/v1/findings?${query}`);
      for (const { id } of json.items) seen.push(id);
      cursor = json.next_cursor;
      await f.one({ workload, ts: ago(0) });
    } while (cursor !== null);
    assert.deepEqual(seen, made);
  });

  it('reads on past what does not pass', async () => {
    const workload = 'systemd/sparse.service';
    const made = await f.one({ workload, ts: ago(20) });
    await f.feed.exec(Array.from({ length: 700 }, () => ({ workload, sha256: fresh(), ts: ago(1) })));
    await f.acknowledge(made.id);
    const query = `workload=${encodeURIComponent(workload)}&state=acknowledged&limit=1`;
    const { json } = await f.api.ask(`/v1/findings?${query}`);
    assert.deepEqual(
      json.items.map(({ id }: { id: string }) => id),
      [made.id],
    );
    assert.equal(json.next_cursor, null);
  });

  it('says what it rests on', async () => {
    const { json } = await f.api.ask('/v1/findings?limit=1');
    assert.equal(json.policy_revision, f.api.deps.approvals.revision());
    assert.ok(json.coverage.events_stored > 0);
    assert.equal(typeof json.coverage.digest_ratio, 'number');
  });

  it('takes cursors back only with the list and the filters they came from', async () => {
    const { json } = await f.api.ask('/v1/findings?limit=1');
    const cursor = json.next_cursor;
    assert.equal((await f.api.ask(`/v1/findings?cursor=${cursor}`)).status, 200);
    const altered = `${cursor.slice(0, -4)}AAAA`;
    for (const path of [
      `/v1/findings?state=open&cursor=${cursor}`,
      `/v1/audit?cursor=${cursor}`,
      `/v1/findings?cursor=${altered}`,
      '/v1/findings?cursor=',
      '/v1/findings?cursor=%00',
      `/v1/findings?cursor=${'A'.repeat(4096)}`,
    ]) {
      const { status, json: problem } = await f.api.ask(path);
      assert.equal(status, 400, path);
      assert.equal(problem.errors[0].at, 'cursor');
    }
  });

  it('holds digests of more findings than one parameter of ClickHouse can', async () => {
    const long = (index: number) => `/${'p'.repeat(3000)}${index}`;
    const missing = { ...NO_DIGEST, ts: ago(1) };
    const workload = 'systemd/long.service';
    await f.feed.exec(Array.from({ length: 60 }, (_, index) => ({ ...missing, workload, path: long(index) })));
    const { json } = await f.api.ask(`/v1/findings?workload=${encodeURIComponent(workload)}&limit=1000`);
    assert.equal(json.items.length, 60);
    assert.ok(json.items.every(({ count }: { count: number }) => count === 1));
  });
});
