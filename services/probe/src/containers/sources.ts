/** Who is asked for the names of containers. */
import type { Pods } from '../kubernetes/pods.ts';
import { openCri } from './cri.ts';
import { openEngineApi } from './engine-api.ts';
import type { ContainerSource } from './facts.ts';
import type { Runtime, SocketSetting } from './sockets.ts';

const OPENERS: Readonly<Record<Runtime, (socketPath: string, nodeName: string, pods?: Pods) => ContainerSource>> = {
  podman: (path) => openEngineApi('podman', path),
  docker: (path) => openEngineApi('docker', path),
  containerd: (path, ...cluster) => openCri('containerd', path, ...cluster),
  'cri-o': (path, ...cluster) => openCri('cri-o', path, ...cluster),
};

/** `nodeName`: what Kubernetes calls this node, where it has one. */
export function openSources(sockets: readonly SocketSetting[], nodeName: string, pods?: Pods): ContainerSource[] {
  return sockets.map(({ runtime, path }) => OPENERS[runtime](path, nodeName, pods));
}
