/** Who is asked for the names of containers. */
import type { Pods } from '../kubernetes/pods.ts';
import { openCri } from './cri.ts';
import { openEngineApi } from './engine-api.ts';
import type { ContainerSource } from './facts.ts';
import type { Runtime, SocketSetting } from './sockets.ts';

const OPENERS: Readonly<Record<Runtime, (socketPath: string, pods?: Pods) => ContainerSource>> = {
  podman: (path) => openEngineApi('podman', path),
  docker: (path) => openEngineApi('docker', path),
  containerd: (path, pods) => openCri('containerd', path, pods),
  'cri-o': (path, pods) => openCri('cri-o', path, pods),
};

export function openSources(sockets: readonly SocketSetting[], pods?: Pods): ContainerSource[] {
  return sockets.map(({ runtime, path }) => OPENERS[runtime](path, pods));
}
