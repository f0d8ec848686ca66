import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createSendEvents, type SendEvents } from '../events.fixture.ts';
import { ago, type FindingsApi, fresh, hex, openFindings } from '../findings.fixture.ts';

const MINUTE_NS = 60_000_000_000n;
/** Of 64 hex digits, as runtimes make them. */
const idOf = (digit: string) => digit.repeat(64);
const digest = (digit: string) => `sha256:${digit.repeat(64)}`;

type Shown = { readonly container_id: string; readonly running: boolean | null };
type Use = { readonly container_id: string; readonly name: string | null; readonly count: number };

let f: FindingsApi;
let send: SendEvents;
let told = 0n;

before(async () => {
  f = await openFindings();
  send = createSendEvents(f.parts.store);
});
after(() => f.stop());

/** What a probe says of one container that was made an hour ago, and runs. */
const word = (id: string, part: object = {}) => {
  told += 1n;
  return {
    ...{ container_id: id, runtime: 'containerd', workload: `container/containerd/${id.slice(0, 12)}` },
    ...{ deployed_as: 'k8s/shop/deployment/cart/app', container_name: 'app', namespace: 'shop', pod: 'cart-7d-x2x9z' },
    ...{ image: digest('1'), image_id: digest('2'), image_ref: 'registry.example/cart:1.4', labels: '{"app":"cart"}' },
    ...{ told_by: 'containerd=/run/containerd/containerd.sock', stream: 5, seq: told },
    ...{ ts: ago(1) + told, valid_from: ago(1), valid_until: 0n, ...part },
  };
};

async function list(query: string) {
  const { status, json, text } = await f.api.ask(`/v1/containers?${query}`, { role: 'viewer' });
  assert.equal(status, 200, text);
  return json;
}

const idsOf = async (query: string) =>
  (await list(query)).items.map(({ container_id }: { container_id: string }) => container_id);

describe('containers', () => {
  it('are shown as they were told of last', async () => {
    const node = 'node-told';
    await send('container', [word(idOf('a'), { labels: '' }), word(idOf('a'))], { node });
    await send('container', [word(idOf('a'), { valid_until: ago(0) })], { node });
    const { items, coverage } = await list(`node=${node}`);
    const [{ created, ended, told_at, ...container }, ...more] = items;
    assert.equal(more.length, 0);
    assert.deepEqual(
      [created, ended].map(Date.parse),
      [ago(1), ago(0)].map((ns) => Number(ns / 1_000_000n)),
    );
    assert.ok(told_at > created);
    assert.deepEqual(container, {
      ...{ node, container_id: idOf('a'), runtime: 'containerd', name: 'app', namespace: 'shop', pod: 'cart-7d-x2x9z' },
      ...{ image: digest('1'), image_id: digest('2'), image_ref: 'registry.example/cart:1.4', labels: { app: 'cart' } },
      ...{ workload: `container/containerd/${'a'.repeat(12)}`, deployed_as: 'k8s/shop/deployment/cart/app' },
      ...{ running: false, told_by: 'containerd=/run/containerd/containerd.sock' },
    });
    assert.equal(coverage.events_stored, 0);
  });

  it('run while their node is heard, no end was seen, and no later probe has missed them', async () => {
    const node = 'node-run';
    await send('container', [word(idOf('b')), word(idOf('c'))], { node, probeEpoch: 1n });
    const running = async () =>
      new Map((await list(`node=${node}`)).items.map(({ container_id, running }: Shown) => [container_id, running]));
    assert.deepEqual([...(await running()).values()], [null, null]);
    await send('heartbeat', [{}], { node, probeEpoch: 1n });
    assert.deepEqual([...(await running()).values()], [true, true]);
    await send('container', [word(idOf('c'))], { node, probeEpoch: 2n });
    await send('heartbeat', [{}], { node, probeEpoch: 2n });
    assert.deepEqual(
      await running(),
      new Map([
        [idOf('c'), true],
        [idOf('b'), null],
      ]),
    );
  });

  it('are found by each filter, and by when they were there', async () => {
    const node = 'node-find';
    await send(
      'container',
      [
        word(idOf('1'), { valid_from: ago(5), valid_until: ago(3) }),
        word(idOf('2'), { valid_from: ago(4), pod: 'cart-7d-abcde', image: digest('9'), image_ref: 'other:2' }),
        word(idOf('3'), { valid_from: ago(2), namespace: 'till', container_name: 'web\xff', workload: 'k8s/till/x' }),
        word(idOf('4'), { valid_from: 0n, ts: ago(1), deployed_as: 'container/podman/d', image_ref: '', pod: '' }),
      ],
      { node },
    );
    const of = async (query: string) => (await idsOf(`node=${node}&${query}`)).map((id: string) => id[0]).join('');
    assert.equal(await of(''), '4321', 'the one made last first');
    assert.equal(await of(`container_id=${idOf('2')}`), '2');
    assert.equal(await of('container_id=22*'), '2');
    assert.equal(await of('container_id=22'), '');
    assert.equal(await of('pod=cart-7d-*'), '321');
    assert.equal(await of('namespace=till'), '3');
    assert.equal(await of('name=web%5Cxff'), '3');
    assert.equal(await of('workload=k8s%2Ftill%2Fx'), '3');
    assert.equal(await of('workload=container%2Fpodman%2Fd'), '4', 'by its names as well');
    assert.equal(await of(`image=${digest('9')}`), '2');
    assert.equal(await of('image_ref=registry.example%2Fcart*'), '31');
    assert.equal(await of(`since=${new Date(Number((ago(3) + MINUTE_NS) / 1_000_000n)).toISOString()}`), '432');
    assert.equal(await of(`until=${new Date(Number(ago(3) / 1_000_000n)).toISOString()}`), '21');
    assert.equal((await f.api.ask(`/v1/containers?since=now-1h&label=x`)).status, 400);
  });

  it('come page by page, each once, also where they were made in the same moment', async () => {
    const node = 'node-pages';
    const ids = Array.from({ length: 7 }, (_, n) => idOf(n.toString(16)));
    await send(
      'container',
      ids.map((id, n) => word(id, { valid_from: ago(n < 5 ? 2 : 1) })),
      { node },
    );
    const seen: string[] = [];
    for (let query: string | null = `node=${node}&limit=2`; query !== null; ) {
      const { items, next_cursor }: { items: { container_id: string }[]; next_cursor: string | null } =
        await list(query);
      seen.push(...items.map(({ container_id }) => container_id[0]!));
      query = next_cursor === null ? null : `node=${node}&limit=2&cursor=${next_cursor}`;
    }
    assert.equal(seen.join(''), '6543210');
  });
});

describe('answers that speak of a container', () => {
  it('name it as it was at the time of the event, also when that was told later', async () => {
    const [node, id] = ['node-join', idOf('d')];
    const at = (minutes: number) => ago(1) + BigInt(minutes) * MINUTE_NS;
    const place = { container_id: id, image: digest('1') };
    await send(
      'exec',
      [
        { ...place, pid: 1, ts: at(1) },
        { ...place, pid: 2, ts: at(10) },
        { pid: 3, ts: at(11) },
      ],
      { node },
    );
    await send('exec', [{ ...place, pid: 4, ts: at(12) }], { node: 'node-elsewhere' });
    await send('container', [word(id, { container_name: 'before', ts: at(20) })], { node });
    await send('container', [word(id, { container_name: 'after', ts: at(21), valid_from: at(5) })], { node });
    const { json } = await f.api.ask(`/v1/events?container_id=${id.slice(0, 12)}*&since=now-2h`);
    const names = new Map(
      json.items.map(({ pid, container }: { pid: number; container: object | null }) => [pid, container]),
    );
    assert.deepEqual(
      names,
      new Map([
        [4, null],
        [2, { name: 'after', image_ref: 'registry.example/cart:1.4', namespace: 'shop', pod: 'cart-7d-x2x9z' }],
        [1, { name: 'before', image_ref: 'registry.example/cart:1.4', namespace: 'shop', pod: 'cart-7d-x2x9z' }],
      ]),
    );
  });

  it('tell of a binary which containers ran it, and what its images are called', async () => {
    const [node, sha256, image] = ['node-binary', fresh(), digest('7')];
    const place = { sha256, image, workload: 'container/podman/web', path: '/app' };
    await send('container', [word(idOf('e'), { image, pod: '', namespace: '', container_name: 'web' })], { node });
    await send(
      'exec',
      [
        { ...place, container_id: idOf('e') },
        { ...place, container_id: idOf('e') },
      ],
      { node },
    );
    await send('load', [{ ...place, container_id: idOf('f'), repeats: 2 }], { node });
    await send('exec', [{ ...place, workload: 'host', image: '' }], { node });
    const { json } = await f.api.ask(`/v1/binaries/${hex(sha256)}`);
    const uses = json.containers.map(({ container_id, name, count }: Use) => [container_id, name, count]);
    assert.deepEqual(
      new Set(uses),
      new Set([
        [idOf('e'), 'web', 2],
        [idOf('f'), null, 3],
      ]),
    );
    assert.deepEqual([json.container_count, json.image_refs], [2, ['registry.example/cart:1.4']]);
    const profile = await f.api.ask('/v1/workloads/profile?workload=container%2Fpodman%2Fweb');
    assert.deepEqual(profile.json.executables[0].image_refs, ['registry.example/cart:1.4']);
  });

  it('tell of a finding where it was seen first, by what is known now', async () => {
    const id = idOf('0');
    const { id: outside } = await f.one({}, 'node-finding');
    const inside = await f.one({ container_id: id, image: digest('1') }, 'node-finding');
    assert.deepEqual((await f.get(outside)).evidence.container, null);
    const nothing = { name: null, image_ref: null, namespace: null, pod: null };
    assert.deepEqual((await f.get(inside.id)).evidence.container, { id, ...nothing });
    await send('container', [word(id)], { node: 'node-finding' });
    const names = { name: 'app', image_ref: 'registry.example/cart:1.4', namespace: 'shop', pod: 'cart-7d-x2x9z' };
    assert.deepEqual((await f.get(inside.id)).evidence.container, { id, ...names });
  });
});
