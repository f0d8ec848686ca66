/** At which sockets which runtimes are asked. Apart from those who ask, which load a lot. */
import type { Parser } from '@bintrail/runtime/config.ts';

const RUNTIMES = ['podman', 'docker', 'containerd', 'cri-o'] as const;
export type Runtime = (typeof RUNTIMES)[number];
export type SocketSetting = { readonly runtime: Runtime; readonly path: string };

/** Where each runtime puts the host's own socket; one that is not there costs nothing. */
export const DEFAULT_SOCKETS: readonly SocketSetting[] = [
  { runtime: 'podman', path: '/run/podman/podman.sock' },
  { runtime: 'docker', path: '/run/docker.sock' },
  { runtime: 'containerd', path: '/run/containerd/containerd.sock' },
  { runtime: 'cri-o', path: '/run/crio/crio.sock' },
];

/** `podman=/run/podman/podman.sock,…`, or `none`. */
export const containerSockets: Parser<readonly SocketSetting[]> = {
  allowed: `none, or <runtime>=<socket>,… with runtimes ${RUNTIMES.join(', ')}`,
  parse: (value) => {
    if (value === 'none') return [];
    const sockets = value.split(',').map((part) => {
      const [, runtime = '', path = ''] = /^([a-z-]+)=(\/.+)$/.exec(part.trim()) ?? [];
      return { runtime, path };
    });
    return sockets.every(isSocketSetting) ? sockets : undefined;
  },
};

function isSocketSetting(socket: { readonly runtime: string; readonly path: string }): socket is SocketSetting {
  return (RUNTIMES as readonly string[]).includes(socket.runtime) && socket.path !== '';
}
