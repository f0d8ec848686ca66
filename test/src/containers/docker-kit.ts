/** A real dockerd with a folder of its own, and no network, which is not what is tried here. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findCommand, withAdminCommands } from '../../../infra/setup/commands.mjs';
import { run } from '../kernel/probe-kit.ts';

export function whyNoDocker(): string | undefined {
  const missing = ['dockerd', 'docker'].filter((name) => !findCommand([name], withAdminCommands(process.env)));
  return missing.length === 0 ? undefined : `needs ${missing.join(', ')}`;
}

export type Docker = {
  readonly socket: string;
  /** Runs docker with these arguments and returns what it printed, trimmed. */
  readonly docker: (...args: string[]) => Promise<string>;
  readonly close: () => Promise<void>;
};

export async function openDocker(folder: string): Promise<Docker> {
  mkdirSync(folder, { recursive: true });
  const socket = join(folder, 'docker.sock');
  const folders = ['data-root', 'exec-root', 'pidfile'].map((name) => `--${name}=${join(folder, name)}`);
  const alone = ['--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false'];
  const server = spawn('dockerd', [`--host=unix://${socket}`, ...folders, ...alone], {
    env: withAdminCommands(process.env),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  server.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  for (let triesLeft = 400; !log.includes('API listen on'); triesLeft--) {
    if (triesLeft === 0 || server.exitCode !== null) throw new Error(`dockerd does not start:\n${log}`);
    await delay(50);
  }
  const docker: Docker['docker'] = async (...args) =>
    (await run('docker', [`--host=unix://${socket}`, ...args])).stdout.trim();
  const close = async () => {
    const ended = once(server, 'exit');
    server.kill();
    await ended;
  };
  return { socket, docker, close };
}
