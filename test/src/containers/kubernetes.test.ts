/**
 * Pods as a kubelet starts them, on a real containerd: by what they are deployed as, told by its CRI and by an API server.
 * That one is our own (services/probe/src/kubernetes): a real one must be compiled, which takes minutes.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openCri } from '@bintrail/probe/containers/cri.ts';
import { type ApiServer, NODE as NODE_NAME, openApiServer } from '@bintrail/probe/kubernetes/api-server.fixture.ts';
import { openPods, type Pods } from '@bintrail/probe/kubernetes/pods.ts';
import { type SeenRow, type Watched, watchKernel } from '../kernel/probe-kit.ts';
import { type Containerd, openContainerd, whyNoContainerd } from './containerd-kit.ts';
import { openPodman, type Podman, whyNoContainers } from './podman-kit.ts';

const skip = whyNoContainers() ?? whyNoContainerd() ?? false;
/** NamespaceMode of the CRI: the node's. */
const NODE = 2;
let pod: Podman;
let containerd: Containerd;
let server: ApiServer;
let pods: Pods;
let watched: Watched;

before(async () => {
  if (skip) return;
  pod = await openPodman();
  containerd = await openContainerd(join(pod.folder, 'containerd'), pod.image);
  await pod.podman('save', '--quiet', '--output', join(pod.folder, 'image.tar'), pod.image);
  await containerd.importImage(join(pod.folder, 'image.tar'));
  server = await openApiServer();
  pods = openPods(server.access, { firstPauseMs: 20 });
  watched = await watchKernel({ containerSources: [openCri('containerd', containerd.socket, NODE_NAME, pods)], pods });
});

after(async () => {
  await (watched as Watched | undefined)?.stop();
  await (server as ApiServer | undefined)?.close();
  await (containerd as Containerd | undefined)?.close();
  await (pod as Podman | undefined)?.close();
});

type Started = { readonly name: string; readonly uid: string; readonly podId: string; readonly containerId: string };

/** A pod of one container, which runs `/bin/true <word>` and then sleeps. */
async function startPod(
  name: string,
  word: string,
  labels: Record<string, string>,
  uid: string = randomUUID(),
  annotations: Record<string, string> = {},
): Promise<Started> {
  const network = { namespace_options: { network: NODE } };
  const config = {
    ...{ metadata: { name, uid, namespace: 'shop' }, labels, annotations, log_directory: join(pod.folder, 'logs') },
    linux: { cgroup_parent: `/kubepods/besteffort/pod${uid}`, security_context: network },
  };
  const { pod_sandbox_id } = await containerd.ask<{ pod_sandbox_id: string }>('RunPodSandbox', { config });
  const { container_id } = await containerd.ask<{ container_id: string }>('CreateContainer', {
    pod_sandbox_id,
    config: {
      metadata: { name: 'app' },
      image: { image: pod.image },
      command: ['/bin/sh', '-c', `/bin/true ${word}; /bin/sleep 60`],
      labels: { 'io.kubernetes.container.name': 'app' },
      linux: { security_context: network },
    },
    sandbox_config: config,
  });
  await containerd.ask('StartContainer', { container_id });
  return { name, uid, podId: pod_sandbox_id, containerId: container_id };
}

async function endPod({ podId: pod_sandbox_id }: Started): Promise<void> {
  await containerd.ask('StopPodSandbox', { pod_sandbox_id });
  await containerd.ask('RemovePodSandbox', { pod_sandbox_id });
}

const ran = (word: string) => watched.row('exec', ({ argv }) => argv === `/bin/true\0${word}\0`);

test('a container of a pod is the workload that a controller deployed', { skip, timeout: 60_000 }, async () => {
  const labels = { app: 'cart', 'pod-template-hash': '7d4b9c6f5' };
  const started = await startPod('cart-7d4b9c6f5-x2x9z', 'in-a-pod', labels);
  const row = await ran('in-a-pod');
  assert.equal(row.container_id, started.containerId);
  assert.equal(row.workload, 'k8s/shop/deployment/cart/app');
  assert.match(row.image, /^sha256:[0-9a-f]{64}$/);
  const told = await watched.row('container', (one) => one.container_id === started.containerId);
  assert.deepEqual(
    [told.deployed_as, told.namespace, told.pod, told.container_name, told.image_ref, told.image],
    ['k8s/shop/deployment/cart/app', 'shop', started.name, 'app', pod.image, row.image],
  );
  assert.equal(told.told_by, `containerd=${containerd.socket}`, 'the API server does not know this pod');
  const own = await watched.row(
    'exec',
    (one) => one.container_id === started.podId && !one.flagNames.includes('runtime_setup'),
  );
  assert.equal(own.workload, 'k8s/shop/deployment/cart/POD');
  await endPod(started);
});

test('a static pod goes without the name of its node, as the cluster calls it', { skip, timeout: 60_000 }, async () => {
  const fromFile = { 'kubernetes.io/config.source': 'file' };
  const started = await startPod(`etcd-${NODE_NAME}`, 'static', {}, randomUUID(), fromFile);
  assert.equal((await ran('static')).workload, 'k8s/shop/pod/etcd/app');
  await endPod(started);
});

const OWNER = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'till-5f6', uid: 'uid-till-5f6', controller: true };

/** As a scheduler and the controllers above leave it: a Rollout, whose pods no label tells. */
function putPod(name: string, uid: string, labels: Record<string, string>): void {
  const rollout = { apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout', name: 'till', uid: 'r', controller: true };
  server.objects.put('replicasets', { metadata: { name: OWNER.name, ownerReferences: [rollout] } });
  server.objects.put('pods', {
    spec: { nodeName: NODE_NAME },
    metadata: { name, uid, labels, ownerReferences: [OWNER] },
  });
}

test('pods of one controller are one workload by what the API server says, relabelled or not', {
  skip,
  timeout: 60_000,
}, async () => {
  const begun: Started[] = [];
  for (const end of ['aaaaa', 'bbbbb']) {
    const [name, uid] = [`till-5f6-${end}`, randomUUID()];
    putPod(name, uid, { app: 'till' });
    begun.push(await startPod(name, `rollout-${end}`, { app: 'till' }, uid));
    assert.equal((await ran(`rollout-${end}`)).workload, 'k8s/shop/rollout/till/app');
  }
  const [first] = begun as [Started];
  const isFirst = (one: SeenRow) => one.container_id === first.containerId;
  const before = await watched.row('container', isFirst);
  assert.equal(before.told_by, `containerd=${containerd.socket},${pods.name}`);
  putPod(first.name, first.uid, { app: 'till', tier: 'gold' });
  const after = await watched.row('container', (one) => isFirst(one) && one.labels.includes('"tier":"gold"'));
  assert.ok(after.valid_from > before.valid_from, 'the labels of before were true until then');
  assert.equal(after.workload, 'k8s/shop/rollout/till/app');
  for (const started of begun) await endPod(started);
});

test('without the API server containers go by their labels, and are told of once it answers', {
  skip,
  timeout: 60_000,
}, async () => {
  server.faults.status = 'reset';
  server.cut('between');
  while (pods.status().state !== 'fails') await delay(10);
  const unknown = pods.status().unknown;
  const [name, uid] = ['till-5f6-ccccc', randomUUID()];
  const started = await startPod(name, 'unreachable', { app: 'till' }, uid);
  assert.equal((await ran('unreachable')).workload, `k8s/shop/pod/${name}/app`);
  assert.ok(pods.status().unknown > unknown);
  putPod(name, uid, { app: 'till' });
  server.faults.status = undefined;
  const told = await watched.row(
    'container',
    (one) => one.container_id === started.containerId && one.told_by.endsWith(pods.name),
  );
  assert.deepEqual([told.workload, told.deployed_as], [`k8s/shop/pod/${name}/app`, 'k8s/shop/rollout/till/app']);
  await endPod(started);
});
