/** Where the API server is, and as whom it is asked: what every pod is given, or the same in a folder of one's choice. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Parser } from '@bintrail/runtime/config.ts';

/** https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#directly-accessing-the-rest-api */
export const IN_CLUSTER_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

export type KubernetesSetting = 'auto' | 'none' | URL;

export type KubernetesAccess = {
  readonly server: URL;
  /** Read anew for each request: kubelets renew it (an hour by default). */
  readonly tokenPath: string;
  /** Likewise. */
  readonly caPath: string;
  /** What the cluster calls this node (`spec.nodeName` of its pods). */
  readonly node: string;
};

/** `auto`, `none`, or the server's address. Without TLS nobody knows who answers, and the token is anybody's. */
export const kubernetesServer: Parser<KubernetesSetting> = {
  allowed: 'auto, none, or https://<host>:<port> of the API server',
  parse: (text) => {
    if (text === 'auto' || text === 'none') return text;
    const url = URL.parse(text);
    return url?.protocol === 'https:' && url.username === '' && url.search === '' ? url : undefined;
  },
};

export type AccessSettings = {
  readonly server: KubernetesSetting;
  readonly account: string;
  readonly node: string;
  /** KUBERNETES_SERVICE_HOST and _PORT, which a pod is given. */
  readonly host: string | undefined;
  readonly port: string;
};

/** Undefined where no API server is asked; with `auto` that is wherever this process has no service account. */
export function kubernetesAccess({ server, account, node, host, port }: AccessSettings): KubernetesAccess | undefined {
  const files = { tokenPath: join(account, 'token'), caPath: join(account, 'ca.crt') };
  if (server === 'none') return undefined;
  if (server !== 'auto') return { server, ...files, node };
  if (host === undefined || !existsSync(files.tokenPath)) return undefined;
  return { server: new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`), ...files, node };
}
