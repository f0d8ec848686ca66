/** For tests, where they are installed: a real kube-apiserver on a real etcd, without controllers and kubelets. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeCertificate } from './api-server.fixture.ts';

export type KubeApiServer = {
  readonly server: URL;
  readonly folder: string;
  readonly caPath: string;
  /** As cluster-admin; `body` is JSON, or YAML as it is. Throws for an answer that is no success. */
  readonly ask: (method: string, path: string, body?: object | string) => Promise<Record<string, unknown>>;
  /** Kills the server and starts it again on the same data. */
  readonly restart: (whileAway?: () => void) => Promise<void>;
  readonly close: () => Promise<void>;
};

const ADMIN = 'the-admin-of-a-test';

export async function openKubeApiServer(): Promise<KubeApiServer> {
  const folder = mkdtempSync(join(tmpdir(), 'bt-apiserver-'));
  const at = (name: string) => join(folder, name);
  const [clientPort, peerPort, securePort] = [await freePort(), await freePort(), await freePort()];
  makeCertificate(at('tls.key'), at('ca.crt'));
  execFileSync('openssl', ['genrsa', '-out', at('account.key'), '2048'], { stdio: 'pipe' });
  writeFileSync(at('tokens.csv'), `${ADMIN},admin,admin,system:masters\n`);
  const [client, peer] = [`http://127.0.0.1:${clientPort}`, `http://127.0.0.1:${peerPort}`];
  const etcd = start('etcd', [
    ...[`--data-dir=${at('etcd')}`, `--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
    ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`, `--initial-cluster=default=${peer}`],
  ]);
  const startServer = () =>
    start('kube-apiserver', [
      ...[`--etcd-servers=${client}`, '--bind-address=127.0.0.1', `--secure-port=${securePort}`],
      ...[
        `--tls-cert-file=${at('ca.crt')}`,
        `--tls-private-key-file=${at('tls.key')}`,
        '--service-cluster-ip-range=10.0.0.0/24',
      ],
      ...[
        `--token-auth-file=${at('tokens.csv')}`,
        '--authorization-mode=RBAC',
        '--disable-admission-plugins=ServiceAccount',
      ],
      ...[
        '--service-account-issuer=https://kubernetes.default.svc',
        `--service-account-signing-key-file=${at('account.key')}`,
      ],
      `--service-account-key-file=${at('account.key')}`,
    ]);
  let server = startServer();
  const url = new URL(`https://127.0.0.1:${securePort}`);
  const ask: KubeApiServer['ask'] = (method, path, body) =>
    askAs(new URL(path, url), readFileSync(at('ca.crt')), method, body);
  const untilReady = async () => {
    for (let triesLeft = 600; ; triesLeft--) {
      if (triesLeft === 0 || server.exitCode !== null) throw new Error('kube-apiserver does not start');
      if (
        await ask('GET', '/readyz').then(
          () => true,
          () => false,
        )
      )
        return;
      await delay(100);
    }
  };
  await untilReady();
  return {
    ...{ server: url, folder, caPath: at('ca.crt'), ask },
    restart: async (whileAway = () => {}) => {
      await end(server, 'SIGKILL');
      whileAway();
      server = startServer();
      await untilReady();
    },
    close: async () => {
      await end(server, 'SIGKILL');
      await end(etcd, 'SIGKILL');
      rmSync(folder, { recursive: true });
    },
  };
}

function start(command: string, args: readonly string[]): ChildProcess {
  return spawn(command, args, { stdio: 'ignore' });
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

function askAs(url: URL, ca: Buffer, method: string, body?: object | string): Promise<Record<string, unknown>> {
  const type =
    method === 'PATCH'
      ? 'application/merge-patch+json'
      : typeof body === 'string'
        ? 'application/yaml'
        : 'application/json';
  const headers = { authorization: `Bearer ${ADMIN}`, accept: 'application/json', 'content-type': type };
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, ca, headers, agent: false }, async (response) => {
      const chunks: Buffer[] = await response.toArray();
      const text = Buffer.concat(chunks).toString();
      if (response.statusCode! >= 300) reject(new Error(`${method} ${url.pathname}: ${response.statusCode} ${text}`));
      else resolve(text.startsWith('{') ? JSON.parse(text) : {});
    });
    asked.on('error', reject);
    asked.end(typeof body === 'object' ? JSON.stringify(body) : body);
  });
}
