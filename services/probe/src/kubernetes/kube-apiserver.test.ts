/**
 * Against a real kube-apiserver, where one is installed (CONTRIBUTING says how): that our own server of the other tests
 * answers as it does, and that the role of infra/kubernetes is enough.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { findCommand } from '../../../../infra/setup/commands.mjs';
import { type KubeApiServer, openKubeApiServer } from './kube-apiserver.fixture.ts';
import { openPods, type Pods } from './pods.ts';

const missing = ['kube-apiserver', 'etcd', 'openssl'].filter((name) => !findCommand([name], process.env));
const skip = missing.length === 0 ? false : `needs ${missing.join(', ')}`;
const NODE = 'node-1';
const ACCESS = readFileSync(new URL('../../../../infra/kubernetes/probe-access.yaml', import.meta.url), 'utf8');
const FOLDERS: Readonly<Record<string, string>> = {
  ServiceAccount: '/api/v1/namespaces/kube-system/serviceaccounts',
  ClusterRole: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
  ClusterRoleBinding: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
};
let server: KubeApiServer;
let pods: Pods;

before(async () => {
  if (skip) return;
  server = await openKubeApiServer();
  await server.ask('POST', '/api/v1/namespaces', { metadata: { name: 'shop' } });
});

after(async () => {
  (pods as Pods | undefined)?.close();
  await (server as KubeApiServer | undefined)?.close();
});

const kindOf = (document: string) => /^kind: (\w+)$/m.exec(document)![1]!;
const documents = ACCESS.split(/^---$/m);

async function renewToken(): Promise<void> {
  const path = `${FOLDERS.ServiceAccount}/bintrail-probe/token`;
  const { status } = await server.ask('POST', path, { spec: { expirationSeconds: 600 } });
  writeFileSync(join(server.folder, 'token'), (status as { token: string }).token);
}

type Owner = { readonly apiVersion: string; readonly kind: string; readonly name: string; readonly uid: string };
const ownedBy = (owner: Owner | undefined) =>
  owner === undefined ? {} : { ownerReferences: [{ ...owner, controller: true }] };
const TEMPLATE = { spec: { containers: [{ name: 'app', image: 'registry.example/cart:1.4' }] } };

/** Creates it as its controller would, and answers how others name it as their owner. */
async function create(
  group: string,
  kind: string,
  name: string,
  spec: object,
  owner?: Owner,
  labels: object = {},
): Promise<Owner> {
  const apiVersion = group === 'api/v1' ? 'v1' : group.replace('apis/', '');
  const path = `/${group}/namespaces/shop/${kind.toLowerCase()}s`;
  const object = { apiVersion, kind, metadata: { name, labels, ...ownedBy(owner) }, spec };
  const { metadata } = await server.ask('POST', path, object);
  return { apiVersion, kind, name, uid: (metadata as { uid: string }).uid };
}

const workloadSpec = {
  selector: { matchLabels: { app: 'cart' } },
  template: { metadata: { labels: { app: 'cart' } }, ...TEMPLATE },
};
const createPod = (name: string, owner?: Owner) =>
  create('api/v1', 'Pod', name, { ...TEMPLATE.spec, nodeName: NODE }, owner, { app: 'cart' });

async function until(what: () => unknown): Promise<void> {
  for (let triesLeft = 1_000; !(await what()); triesLeft--) {
    if (triesLeft === 0) throw new Error(`waited in vain for ${what}: ${JSON.stringify(pods.status())}`);
    await delay(20);
  }
}

const find = (name: string, uid: string) => pods.find({ uid, namespace: 'shop', name }, AbortSignal.timeout(10_000));

test('a real API server tells of pods and of who controls them, by the role we ask for', {
  skip,
  timeout: 120_000,
}, async () => {
  const deployment = await create('apis/apps/v1', 'Deployment', 'cart', workloadSpec);
  const replicas = await create('apis/apps/v1', 'ReplicaSet', 'cart-7d4b9c6f5', workloadSpec, deployment);
  const cron = await create('apis/batch/v1', 'CronJob', 'backup', {
    schedule: '0 3 * * *',
    jobTemplate: { spec: { template: { spec: { ...TEMPLATE.spec, restartPolicy: 'Never' } } } },
  });
  const job = await create(
    'apis/batch/v1',
    'Job',
    'backup-1',
    { template: { spec: { ...TEMPLATE.spec, restartPolicy: 'Never' } } },
    cron,
  );
  const first = await createPod('cart-7d4b9c6f5-aaaaa', replicas);
  for (const document of documents.filter((one) => kindOf(one) !== 'ClusterRoleBinding')) {
    await server.ask('POST', FOLDERS[kindOf(document)]!, document);
  }
  await renewToken();
  pods = openPods(
    { server: server.server, tokenPath: join(server.folder, 'token'), caPath: server.caPath, node: NODE },
    { firstPauseMs: 50 },
  );
  await until(() =>
    /^HTTP 403: pods is forbidden: User "system:serviceaccount:kube-system:bintrail-probe"/.test(pods.status().reason),
  );
  await server.ask('POST', FOLDERS.ClusterRoleBinding!, documents.find((one) => kindOf(one) === 'ClusterRoleBinding')!);
  await until(() => pods.status().state === 'answers');
  assert.deepEqual((await find(first.name, first.uid))?.owner, { kind: 'deployment', name: 'cart' });
  const backup = await createPod('backup-1-bbbbb', job);
  assert.deepEqual((await find(backup.name, backup.uid))?.owner, { kind: 'cronjob', name: 'backup' });
  assert.equal(pods.status().ownerReason, '');
});

test('changes and ends are followed, also past a kill of the server and an expired token', {
  skip,
  timeout: 120_000,
}, async () => {
  const path = '/api/v1/namespaces/shop/pods/cart-7d4b9c6f5-aaaaa';
  const { metadata } = await server.ask('GET', path);
  const uid = (metadata as { uid: string }).uid;
  await server.ask('PATCH', path, { metadata: { labels: { tier: 'gold' } } });
  await until(async () => (await find('cart-7d4b9c6f5-aaaaa', uid))?.labels.tier === 'gold');
  await server.restart(() => writeFileSync(join(server.folder, 'token'), 'expired'));
  await until(() => pods.status().reason.startsWith('HTTP 401'));
  assert.equal((await find('cart-7d4b9c6f5-aaaaa', uid))?.labels.tier, 'gold', 'what was known stays known');
  await server.ask('DELETE', `${path}?gracePeriodSeconds=0`);
  const later = await createPod('later');
  await renewToken();
  await until(() => find(later.name, later.uid));
  await until(async () => (await find('cart-7d4b9c6f5-aaaaa', uid)) === undefined);
  assert.deepEqual([pods.status().state, pods.status().pods], ['answers', 2]);
});

test('a version that was compacted is gone, as our own server says it', { skip, timeout: 120_000 }, async () => {
  const { metadata } = await server.ask('GET', '/api/v1/pods');
  assert.match((metadata as { resourceVersion: string }).resourceVersion, /^\d+$/);
  const gone = await server
    .ask('GET', '/api/v1/pods?watch=1&resourceVersion=1&timeoutSeconds=2')
    .catch((error: Error) => error);
  const text = JSON.stringify(gone instanceof Error ? gone.message : gone);
  assert.match(text, /410/);
});
