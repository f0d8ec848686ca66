/** Against a server of our own that answers, and fails, as an API server is documented to. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { NewObject } from './api-objects.fixture.ts';
import { type ApiServer, NODE, openApiServer } from './api-server.fixture.ts';
import { openPods, type Pods } from './pods.ts';

const PAUSE_MS = 20;
let server: ApiServer;
let pods: Pods;

beforeEach(async () => {
  server = await openApiServer();
});
afterEach(async () => {
  pods.close();
  await server.close();
});

type Owner = { readonly apiVersion: string; readonly kind: string; readonly name: string };

const owned = ({ apiVersion, kind, name }: Owner) => ({
  ownerReferences: [{ apiVersion, kind, name, uid: `uid-${name}`, controller: true }],
});
const REPLICAS = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'cart-7d4b9c6f5' };
const pod = (name: string, meta: object = {}): NewObject => ({ spec: { nodeName: NODE }, metadata: { name, ...meta } });
const cart = (name = 'cart-7d4b9c6f5-x2x9z', labels: object = {}) =>
  pod(name, { ...owned(REPLICAS), labels: { 'pod-template-hash': '7d4b9c6f5', ...labels } });

function putCart(name?: string): void {
  server.objects.put('replicasets', {
    metadata: { name: REPLICAS.name, ...owned({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'cart' }) },
  });
  server.objects.put('pods', cart(name));
}

const open = () => {
  pods = openPods(server.access, { firstPauseMs: PAUSE_MS });
};
const signal = () => AbortSignal.timeout(10_000);
const find = (name: string, uid = `uid-${name}`, namespace = 'shop') => pods.find({ uid, namespace, name }, signal());
const ownerOf = async (name: string) => {
  const { owner } = (await find(name)) ?? { owner: { kind: 'not', name: 'known' } };
  return `${owner.kind}/${owner.name}`;
};

/** Waits for what must come. */
async function until(what: () => unknown): Promise<void> {
  for (let triesLeft = 500; !(await what()); triesLeft--) {
    if (triesLeft === 0) throw new Error(`waited in vain for ${what}: ${JSON.stringify(pods.status())}`);
    await delay(10);
  }
}

describe('whose pod it is', () => {
  it('is the Deployment or CronJob above what made it, whatever controls it, or itself', async () => {
    putCart();
    server.objects.put('jobs', {
      metadata: { name: 'backup-1', ...owned({ apiVersion: 'batch/v1', kind: 'CronJob', name: 'backup' }) },
    });
    server.objects.put('pods', pod('backup-1-abcde', owned({ apiVersion: 'batch/v1', kind: 'Job', name: 'backup-1' })));
    server.objects.put('replicasets', { metadata: { name: 'bare' } });
    server.objects.put('pods', pod('bare-abcde', owned({ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'bare' })));
    server.objects.put('pods', pod('db-0', owned({ apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'db' })));
    server.objects.put('pods', pod('x-1', owned({ apiVersion: 'argoproj.io/v1', kind: 'Workflow', name: 'x' })));
    server.objects.put('pods', pod('alone'));
    open();
    assert.equal(await ownerOf('cart-7d4b9c6f5-x2x9z'), 'deployment/cart', 'also when asked before the first list');
    assert.equal(await ownerOf('backup-1-abcde'), 'cronjob/backup');
    assert.equal(await ownerOf('bare-abcde'), 'replicaset/bare');
    assert.equal(await ownerOf('db-0'), 'statefulset/db');
    assert.equal(await ownerOf('x-1'), 'workflow/x');
    assert.equal(await ownerOf('alone'), 'pod/alone');
    assert.ok(
      server.requests.every(
        ({ searchParams, pathname }) =>
          pathname !== '/api/v1/pods' || searchParams.get('fieldSelector') === `spec.nodeName=${NODE}`,
      ),
    );
  });

  it('is asked once for all pods of one, and by its name where that is refused', async () => {
    server.faults.refused.add('replicasets');
    putCart('cart-7d4b9c6f5-aaaaa');
    open();
    assert.equal(await ownerOf('cart-7d4b9c6f5-aaaaa'), 'deployment/cart');
    assert.match(pods.status().ownerReason, /replicasets\/cart-7d4b9c6f5: HTTP 403: replicasets is forbidden/);
    server.faults.refused.clear();
    for (const end of ['bbbbb', 'ccccc', 'ddddd']) putCart(`cart-7d4b9c6f5-${end}`);
    for (const end of ['bbbbb', 'ccccc', 'ddddd'])
      assert.equal(await ownerOf(`cart-7d4b9c6f5-${end}`), 'deployment/cart');
    const asked = server.requests.filter(({ pathname }) => pathname.includes('/replicasets/')).length;
    assert.ok(asked <= 4, `${asked} requests`);
  });

  it('is not what a pod says against its owner, nor of a pod of another uid, namespace or node', async () => {
    server.objects.put('replicasets', { metadata: { name: REPLICAS.name, uid: 'another' } });
    server.objects.put('pods', pod('posing', owned(REPLICAS)));
    server.objects.put('pods', { ...pod('elsewhere'), spec: { nodeName: 'node-2' } });
    server.objects.put(
      'pods',
      pod('picture-node-1', {
        ...owned({ apiVersion: 'v1', kind: 'Node', name: NODE }),
        annotations: { 'kubernetes.io/config.mirror': 'static', 'kubernetes.io/config.source': 'file' },
      }),
    );
    open();
    assert.equal(await ownerOf('posing'), 'pod/posing');
    assert.equal(await find('posing', 'uid-other'), undefined);
    assert.equal(await find('posing', 'uid-posing', 'till'), undefined);
    assert.equal(await find('elsewhere'), undefined);
    assert.deepEqual((await find('picture-node-1', 'static'))?.owner, { kind: 'pod', name: 'picture' });
    assert.equal(pods.status().unknown, 3);
  });
});

describe('what changes', () => {
  it('is followed: new pods, labels, ends, and a pod that takes the name of one that is gone', async () => {
    open();
    await until(() => server.watches() === 1);
    const changed: string[] = [];
    pods.onChange(({ name }) => changed.push(name));
    const asked = find('cart-7d4b9c6f5-x2x9z');
    putCart();
    assert.deepEqual((await asked)?.owner, { kind: 'deployment', name: 'cart' }, 'asked a moment before it was told');
    server.objects.put('pods', { ...cart(), status: { phase: 'Running' } });
    server.objects.put('pods', cart(undefined, { tier: 'gold' }));
    await until(async () => (await find('cart-7d4b9c6f5-x2x9z'))?.labels.tier === 'gold');
    await until(() => changed.length === 2);
    server.objects.put('pods', pod('db-0', { uid: 'old' }));
    server.objects.remove('pods', 'db-0');
    server.objects.put('pods', pod('db-0', { uid: 'new' }));
    await until(() => find('db-0', 'new'));
    assert.equal(await find('db-0', 'old'), undefined);
    server.objects.remove('pods', 'db-0');
    await until(() => pods.status().pods === 1);
    assert.deepEqual(new Set(changed), new Set(['cart-7d4b9c6f5-x2x9z', 'db-0']));
  });
});

/** The versions that watches were begun from. */
const begun = () =>
  server.requests
    .filter(({ searchParams }) => searchParams.has('watch'))
    .map(({ searchParams }) => Number(searchParams.get('resourceVersion')));
const lists = () =>
  server.requests.filter(({ pathname, searchParams }) => pathname === '/api/v1/pods' && !searchParams.has('watch'))
    .length;

describe('a server that fails', () => {
  beforeEach(async () => {
    putCart();
    open();
    await until(() => server.watches() === 1);
  });
  /** Nothing was missed: what was put meanwhile is known. */
  const knows = async (name: string) => {
    await until(() => find(name));
    await until(() => pods.status().state === 'answers');
  };

  it('that ends a watch is watched on from the last version, a bookmark’s too, without another list', async () => {
    server.bookmark();
    server.objects.put('pods', { ...pod('there'), spec: { nodeName: 'node-2' } });
    server.bookmark();
    server.cut('between');
    await until(() => begun().length >= 2);
    assert.ok(begun()[1]! >= begun()[0]! + 3, `${begun()}`);
    server.objects.put('pods', pod('later'));
    await knows('later');
    assert.equal(lists(), 1);
  });

  it('that cuts a connection within a line tells the change again', async () => {
    server.cut('within');
    server.objects.put('pods', pod('cut'));
    await knows('cut');
    assert.equal(lists(), 1);
  });

  for (const goneBy of ['event', 'status'] as const) {
    it(`that no longer has the version (410 by ${goneBy}) is listed anew, and who went meanwhile is gone`, async () => {
      server.faults.goneBy = goneBy;
      server.faults.status = 'reset';
      server.cut('between');
      await until(() => pods.status().state === 'fails');
      server.objects.remove('pods', 'cart-7d4b9c6f5-x2x9z');
      server.objects.put('pods', pod('later'));
      server.objects.compact();
      server.faults.status = undefined;
      await knows('later');
      assert.equal(await find('cart-7d4b9c6f5-x2x9z'), undefined);
      assert.equal(lists(), 2);
    });
  }

  it('that is away is asked again; what was known stays known, what was not is unknown at once', async () => {
    server.faults.status = 'reset';
    server.cut('between');
    await until(() => pods.status().state === 'fails');
    assert.equal(await ownerOf('cart-7d4b9c6f5-x2x9z'), 'deployment/cart');
    const startedMs = performance.now();
    assert.equal(await find('new'), undefined);
    assert.ok(performance.now() - startedMs < 150);
    server.objects.put('pods', pod('new'));
    server.faults.status = undefined;
    await knows('new');
  });

  it('that refuses says so in health, and a renewed token is taken from its file', async () => {
    server.faults.status = 503;
    server.cut('between');
    await until(() => pods.status().reason === 'HTTP 503: as told');
    server.faults.status = undefined;
    server.renewToken();
    server.objects.put('pods', pod('renewed'));
    await knows('renewed');
    assert.equal(pods.status().reason, '');
  });
});

it('a server that may not be asked for pods, or is another one, is named with the reason', async () => {
  server.faults.refused.add('pods');
  open();
  await until(() => pods.status().reason === 'HTTP 403: pods is forbidden');
  assert.equal(await find('any'), undefined);
  pods.close();
  const other = await openApiServer();
  pods = openPods({ ...server.access, caPath: other.access.caPath }, { firstPauseMs: PAUSE_MS });
  await until(() => pods.status().state === 'fails');
  assert.equal(server.requests.length > 0 && pods.status().pods, 0);
  await other.close();
});
