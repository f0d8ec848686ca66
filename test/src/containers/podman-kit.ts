/** Real containers: podman over runc with a store of its own, and an image that holds a static busybox. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findCommand, withAdminCommands } from '../../../infra/setup/commands.mjs';
import { run, whyNotHere } from '../kernel/probe-kit.ts';

/** Where the commands of the image lie, and what they are links to. */
export const BUSYBOX = '/bin/busybox';
/** The same bytes in a file that no shell runs, so that a container can change it. */
export const TOOL = '/bin/busybox.tool';
const COMMANDS = ['sh', 'true', 'cat', 'cp', 'mv', 'rm', 'chmod', 'sleep', 'md5sum'];

/** Why containers cannot run here; undefined when they can. */
export function whyNoContainers(): string | undefined {
  const reason = whyNotHere();
  if (reason !== undefined) return reason;
  const missing = ['podman', 'runc', 'busybox'].filter((command) => pathOf(command) === undefined);
  if (missing.length > 0) return `needs ${missing.join(', ')}`;
  // A dynamic one names its loader, of which the image has none.
  const head = readFileSync(pathOf('busybox')!).subarray(0, 4096);
  return head.includes('/ld-') ? 'needs a statically linked busybox' : undefined;
}

/** Podman's API at a socket in its folder, which its group may use, as where systemd makes it. */
export async function servePodman({ folder, env }: Podman): Promise<{ socket: string; close: () => Promise<void> }> {
  const socket = join(folder, 'podman.sock');
  const service = spawn('podman', ['system', 'service', '--time', '0', `unix://${socket}`], { env, stdio: 'ignore' });
  const ended = once(service, 'exit');
  while (!existsSync(socket)) await delay(20);
  chmodSync(socket, 0o660);
  const close = async () => {
    service.kill();
    await ended;
  };
  return { socket, close };
}

const pathOf = (command: string) => findCommand([command], withAdminCommands(process.env));

export type Podman = {
  readonly folder: string;
  readonly image: string;
  /** Another image, whose TOOL ends in `trailer` and to which `fill` adds; its reference. */
  readonly importImage: (name: string, trailer: string, fill?: (root: string) => void) => Promise<string>;
  /** The very file of the image, outside it. */
  readonly busyboxPath: string;
  /** Runs podman with these arguments and returns what it printed, trimmed. */
  readonly podman: (...args: string[]) => Promise<string>;
  /** Starts a shell in a container of its own and waits for its end; what it printed. */
  readonly shell: (script: string, ...options: string[]) => Promise<string>;
  readonly env: NodeJS.ProcessEnv;
  /** Removes all containers, the image and the store. */
  readonly close: () => Promise<void>;
};

/** Apart from whatever else podman runs on this host: store, locks and settings lie in a folder of their own, which is empty. */
export async function openPodman(folder = mkdtempSync(join(tmpdir(), 'bt-pod-'))): Promise<Podman> {
  const env = {
    ...process.env,
    CONTAINERS_CONF: join(folder, 'containers.conf'),
    CONTAINERS_STORAGE_CONF: join(folder, 'storage.conf'),
  };
  mkdirSync(join(folder, 'tmp'));
  writeFileSync(env.CONTAINERS_CONF, engineSettings(folder));
  writeFileSync(env.CONTAINERS_STORAGE_CONF, storeSettings(folder));
  const podman = async (...args: string[]) => (await run('podman', args, { env })).stdout.trim();
  const importImage: Podman['importImage'] = async (name, trailer, fill) => {
    const image = `localhost/bintrail-${name}:1`;
    const files = rootfs(folder, name, trailer);
    fill?.(files);
    await run('tar', ['-C', files, '-cf', `${files}.tar`, '.']);
    await podman('import', '--quiet', '--change', 'CMD /bin/sleep 3600', `${files}.tar`, image);
    return image;
  };
  const image = await importImage('test', '');
  return {
    importImage,
    ...{ folder, podman, env, image, busyboxPath: join(folder, 'test', BUSYBOX) },
    shell: (script, ...options) => podman('run', '--rm', ...options, image, '/bin/sh', '-c', script),
    close: async () => {
      await podman('rm', '--all', '--force', '--time', '0');
      // As often as podman mounted it: several that start at once each do.
      await run('sh', ['-c', 'while umount --lazy "$1" 2>&1; do :; done', 'sh', join(folder, 'root/overlay')]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

// cgroupfs and low limits: what also works on a host with hybrid cgroups and without a systemd of its own.
function engineSettings(folder: string): string {
  return `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
netns = "none"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
static_dir = "${folder}/root/libpod"
tmp_dir = "${folder}/tmp"
volume_path = "${folder}/root/volumes"
`;
}

function storeSettings(folder: string): string {
  return `[storage]\ndriver = "overlay"\ngraphroot = "${folder}/root"\nrunroot = "${folder}/run"\n`;
}

function rootfs(folder: string, name: string, trailer: string): string {
  const root = join(folder, name);
  mkdirSync(join(root, 'bin'), { recursive: true });
  mkdirSync(join(root, 'tmp'));
  copyFileSync(pathOf('busybox')!, join(root, BUSYBOX));
  copyFileSync(pathOf('busybox')!, join(root, TOOL));
  appendFileSync(join(root, TOOL), trailer);
  for (const command of COMMANDS) symlinkSync('busybox', join(root, 'bin', command));
  return root;
}
