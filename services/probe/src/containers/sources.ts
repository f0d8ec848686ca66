/** Who is asked for the names of containers. */
import { openCri } from './cri.ts';
import { openEngineApi } from './engine-api.ts';
import type { ContainerSource } from './facts.ts';
import type { Runtime, SocketSetting } from './sockets.ts';

const OPENERS: Readonly<Record<Runtime, (socketPath: string) => ContainerSource>> = {
  podman: (path) => openEngineApi('podman', path),
  docker: (path) => openEngineApi('docker', path),
  containerd: (path) => openCri('containerd', path),
  'cri-o': (path) => openCri('cri-o', path),
};

export function openSources(sockets: readonly SocketSetting[]): ContainerSource[] {
  return sockets.map(({ runtime, path }) => OPENERS[runtime](path));
}
