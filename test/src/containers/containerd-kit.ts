/** A real containerd with its CRI, and the part of a kubelet that starts pods there. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { findCommand, withAdminCommands } from '../../../infra/setup/commands.mjs';
import { run } from '../kernel/probe-kit.ts';

export function whyNoContainerd(): string | undefined {
  return findCommand(['containerd'], withAdminCommands(process.env)) ? undefined : 'needs containerd';
}

export type Containerd = {
  readonly socket: string;
  readonly importImage: (archive: string) => Promise<void>;
  readonly ask: <Answer = object>(method: string, request: object) => Promise<Answer>;
  readonly close: () => Promise<void>;
};

const PROTO = fileURLToPath(new URL('cri-kubelet.proto', import.meta.url));

/** Everything of it lies in this folder; `pause` is the image of a pod's own container. */
export async function openContainerd(folder: string, pause: string): Promise<Containerd> {
  mkdirSync(folder, { recursive: true });
  const socket = join(folder, 'containerd.sock');
  writeFileSync(join(folder, 'config.toml'), settings(folder, socket, pause));
  let log = '';
  const server = spawn('containerd', ['--config', join(folder, 'config.toml')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  server.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  for (let triesLeft = 200; !log.includes('successfully booted'); triesLeft--) {
    if (triesLeft === 0 || server.exitCode !== null) throw new Error(`containerd does not start:\n${log}`);
    await delay(50);
  }
  const definition = loadSync(PROTO, { keepCase: true, defaults: true });
  // biome-ignore lint/suspicious/noExplicitAny: what a proto file becomes has no type before it is read
  const { v1 } = (grpc.loadPackageDefinition(definition) as any).runtime;
  const client = new v1.RuntimeService(`unix://${socket}`, grpc.credentials.createInsecure());
  return {
    socket,
    importImage: async (archive) => {
      await run('ctr', ['--address', socket, '--namespace', 'k8s.io', 'images', 'import', archive]);
    },
    ask: (method, request) =>
      new Promise((resolve, reject) => {
        client[method](request, (error: unknown, answer: never) => (error ? reject(error) : resolve(answer)));
      }),
    close: async () => {
      client.close();
      const ended = once(server, 'exit');
      server.kill();
      await ended;
    },
  };
}

function settings(folder: string, socket: string, pause: string): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return `version = 2
root = "${folder}/root"
state = "${folder}/state"
[grpc]
  address = "${socket}"
[${cri}]
  sandbox_image = "${pause}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [${cri}.cni]
    conf_dir = "${folder}/cni"
    bin_dir = "${folder}/cni"
`;
}
