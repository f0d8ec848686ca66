/** A process in a mount namespace of its own, whose root is an overlay over a folder: a container without the runtime. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export const BUSYBOX = '/bin/busybox';

/** Why there can be none; undefined when there can. */
export function whyNoOverlay(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync(BUSYBOX)) return 'needs busybox';
  return readFileSync(BUSYBOX).subarray(0, 4096).includes('/ld-') ? 'needs a statically linked busybox' : undefined;
}

/** Writes files below a root; those that are null are folders. */
export function writeTree(root: string, files: Readonly<Record<string, string | Buffer | null>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(content === null ? join(root, path) : dirname(join(root, path)), { recursive: true });
    if (content !== null) writeFileSync(join(root, path), content);
  }
}

/** A folder to be the lower layer: busybox, and what is given. */
export function makeImage(folder: string, files: Readonly<Record<string, string | Buffer | null>>): string {
  const image = mkdtempSync(join(folder, 'image-'));
  writeTree(image, { bin: null, old: null, tmp: null, proc: null, ...files });
  copyFileSync(BUSYBOX, join(image, 'bin/busybox'));
  return image;
}

export type OverlayRoot = {
  readonly pid: number;
  readonly mountNs: number;
  /** Runs a busybox command in the same namespace. */
  readonly run: (...command: string[]) => void;
  readonly stop: () => void;
};

/**
 * `asUser`: in a user namespace of its own, as anybody may. `prepare` runs beside the host's files, in what will be the
 * root; `setUp` in the new root; then the process is there.
 */
export async function startInOverlay(
  folder: string,
  image: string,
  { asUser = false, prepare = ':', setUp = ':', chroot = '/' } = {},
): Promise<OverlayRoot> {
  const own = mkdtempSync(join(folder, 'overlay-'));
  for (const name of ['upper', 'work', 'merged']) mkdirSync(join(own, name));
  const options = `lowerdir=${image},upperdir=${own}/upper,workdir=${own}/work`;
  const script = `set -e
    mount -t overlay overlay -o ${options} ${own}/merged
    cd ${own}/merged
    ${prepare}
    ${BUSYBOX} pivot_root . old
    PATH=/none
    ${BUSYBOX} umount -l /old
    ${setUp.replaceAll(/(?<![/\w])busybox(?= )/g, BUSYBOX)}
    exec ${BUSYBOX} chroot ${chroot} ${BUSYBOX} sleep 300`;
  const flags = ['--mount', '--propagation', 'private', ...(asUser ? ['--user', '--map-root-user'] : [])];
  const child: ChildProcess = spawn('unshare', [...flags, 'sh', '-c', script], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const pid = child.pid!;
  for (let triesLeft = 200; !isSleeping(pid); triesLeft--) {
    if (triesLeft === 0 || child.exitCode !== null) throw new Error(`no process in an overlay (${child.exitCode})`);
    await delay(20);
  }
  const mountNs = Number(/\d+/.exec(readlinkSync(`/proc/${pid}/ns/mnt`))![0]);
  const enter = ['--target', String(pid), '--mount', ...(asUser ? ['--user', '--preserve-credentials'] : [])];
  return {
    ...{ pid, mountNs },
    run: (...command) => void execFileSync('nsenter', [...enter, '--root', BUSYBOX, ...command], { stdio: 'pipe' }),
    stop: () => void child.kill('SIGKILL'),
  };
}

function isSleeping(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1') === `${BUSYBOX}\0sleep\x00300\0`;
  } catch {
    return false;
  }
}
