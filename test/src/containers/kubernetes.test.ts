/** Pods as a kubelet starts them, on a real containerd: by what they are deployed as, told by its CRI. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openCri } from '@bintrail/probe/containers/cri.ts';
import { type Watched, watchKernel } from '../kernel/probe-kit.ts';
import { type Containerd, openContainerd, whyNoContainerd } from './containerd-kit.ts';
import { openPodman, type Podman, whyNoContainers } from './podman-kit.ts';

const skip = whyNoContainers() ?? whyNoContainerd() ?? false;
/** NamespaceMode of the CRI: the node's. */
const NODE = 2;
let pod: Podman;
let containerd: Containerd;
let watched: Watched;

before(async () => {
  if (skip) return;
  pod = await openPodman();
  containerd = await openContainerd(join(pod.folder, 'containerd'), pod.image);
  await pod.podman('save', '--quiet', '--output', join(pod.folder, 'image.tar'), pod.image);
  await containerd.importImage(join(pod.folder, 'image.tar'));
  watched = await watchKernel({ containerSources: [openCri('containerd', containerd.socket)] });
});

after(async () => {
  await (watched as Watched | undefined)?.stop();
  await (containerd as Containerd | undefined)?.close();
  await (pod as Podman | undefined)?.close();
});

test('a container of a pod is the workload that a controller deployed', { skip, timeout: 60_000 }, async () => {
  const network = { namespace_options: { network: NODE } };
  const config = {
    metadata: { name: 'cart-7d4b9c6f5-x2x9z', uid: randomUUID(), namespace: 'shop' },
    labels: { app: 'cart', 'pod-template-hash': '7d4b9c6f5' },
    log_directory: join(pod.folder, 'logs'),
    linux: { cgroup_parent: `/kubepods/besteffort/pod${randomUUID()}`, security_context: network },
  };
  const { pod_sandbox_id } = await containerd.ask<{ pod_sandbox_id: string }>('RunPodSandbox', { config });
  const { container_id } = await containerd.ask<{ container_id: string }>('CreateContainer', {
    pod_sandbox_id,
    config: {
      metadata: { name: 'app' },
      image: { image: pod.image },
      command: ['/bin/sh', '-c', '/bin/true in-a-pod; /bin/sleep 60'],
      labels: { 'io.kubernetes.container.name': 'app' },
      linux: { security_context: network },
    },
    sandbox_config: config,
  });
  await containerd.ask('StartContainer', { container_id });
  const row = await watched.row('exec', ({ argv }) => argv === '/bin/true\0in-a-pod\0');
  assert.equal(row.container_id, container_id);
  assert.equal(row.workload, 'k8s/shop/deployment/cart/app');
  assert.match(row.image, /^sha256:[0-9a-f]{64}$/);
  const told = await watched.row('container', (one) => one.container_id === container_id);
  assert.deepEqual(
    [told.deployed_as, told.namespace, told.pod, told.container_name, told.image_ref, told.image],
    ['k8s/shop/deployment/cart/app', 'shop', config.metadata.name, 'app', pod.image, row.image],
  );
  const own = await watched.row(
    'exec',
    (one) => one.container_id === pod_sandbox_id && !one.flagNames.includes('runtime_setup'),
  );
  assert.equal(own.workload, 'k8s/shop/deployment/cart/POD');
  await containerd.ask('StopPodSandbox', { pod_sandbox_id });
  await containerd.ask('RemovePodSandbox', { pod_sandbox_id });
});
