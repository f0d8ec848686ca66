/** Which runtimes are asked for the names of containers, and at which sockets. */
import type { Parser } from '@bintrail/runtime/config.ts';
import { openCri } from './cri.ts';
import { openEngineApi } from './engine-api.ts';
import type { ContainerSource } from './facts.ts';

const OPENERS: Readonly<Record<string, (socketPath: string) => ContainerSource>> = {
  podman: (path) => openEngineApi('podman', path),
  docker: (path) => openEngineApi('docker', path),
  containerd: (path) => openCri('containerd', path),
  'cri-o': (path) => openCri('cri-o', path),
};

export type SocketSetting = { readonly runtime: string; readonly path: string };

/** Where each runtime puts the host's own socket; one that is not there costs nothing. */
export const DEFAULT_SOCKETS: readonly SocketSetting[] = [
  { runtime: 'podman', path: '/run/podman/podman.sock' },
  { runtime: 'docker', path: '/run/docker.sock' },
  { runtime: 'containerd', path: '/run/containerd/containerd.sock' },
  { runtime: 'cri-o', path: '/run/crio/crio.sock' },
];

/** `podman=/run/podman/podman.sock,…`, or `none`. */
export const containerSockets: Parser<readonly SocketSetting[]> = {
  allowed: `none, or <runtime>=<socket>,… with runtimes ${Object.keys(OPENERS).join(', ')}`,
  parse: (value) => {
    if (value === 'none') return [];
    const sockets = value.split(',').map((part) => {
      const [, runtime = '', path = ''] = /^([a-z-]+)=(\/.+)$/.exec(part.trim()) ?? [];
      return { runtime, path };
    });
    return sockets.every(({ runtime, path }) => Object.hasOwn(OPENERS, runtime) && path !== '') ? sockets : undefined;
  },
};

export function openSources(sockets: readonly SocketSetting[]): ContainerSource[] {
  return sockets.map(({ runtime, path }) => OPENERS[runtime]!(path));
}
