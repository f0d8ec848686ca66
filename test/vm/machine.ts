/**
 * A virtual machine that runs one job and is gone: Debian's kernel under QEMU's own translation (TCG), so that it needs
 * neither the right to nor the speed of a hypervisor, and loads what the kernel underneath may refuse.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { cpio, file, folder } from './cpio.ts';

export type Machine = {
  /** Where set-up unpacked the kernel (infra/setup/vm.mjs). */
  readonly kernelFolder: string;
  /** Of its disk; written to in memory only. */
  readonly image: string;
  /** For what is made on the way, and the kernel's own words afterwards (console.log). */
  readonly workFolder: string;
  readonly cpus: number;
  readonly memoryMb: number;
  /** One guest instruction is a nanosecond of guest time, whatever else runs here. Needs one CPU. */
  readonly countsInstructions?: boolean;
  /**
   * Idle time passes at once by that clock. So it does while only the disk is waited for, as long as this machine takes: with
   * something else running here, what has a time limit there comes too late (measured: up after 19 s for 4).
   */
  readonly skipsIdle?: boolean;
};

export type Ended = {
  /** The job's exit code; undefined when the machine ended before the job did. */
  readonly code: number | undefined;
  /** The guest's own clock: when the job began, and when it ended. */
  readonly beganS: number;
  readonly endedS: number;
};

/**
 * Lockdown and integrity as distributions have them; bpf, so that programs may sit on LSM hooks; IMA measures what is
 * executed and mapped, and so knows its digest. No patched-in mitigations: translated code has no speculation to fear.
 */
const KERNEL_COMMAND_LINE =
  'console=ttyS0 quiet panic=-1 mitigations=off lsm=landlock,lockdown,integrity,bpf ima_policy=tcb';
const BOOT_MODULES = [
  ...['virtio_ring', 'virtio', 'virtio_pci_legacy_dev', 'virtio_pci_modern_dev', 'virtio_pci', 'virtio_blk'],
  ...['overlay', 'loop', 'libcrc32c', 'xfs'],
];
const GUEST = new URL('./guest/', import.meta.url);

/** Boots, runs the shell script `job` in the checkout's folder, hands on each line it prints, and powers off. */
export async function runInMachine(machine: Machine, job: string, onLine: (line: string) => void): Promise<Ended> {
  const initrd = join(machine.workFolder, 'initrd');
  writeFileSync(initrd, makeInitrd(machine.kernelFolder, job));
  const qemu = spawn('qemu-system-x86_64', qemuArguments(machine, initrd), { stdio: ['ignore', 'pipe', 'inherit'] });
  const killed = () => qemu.kill('SIGKILL');
  process.once('exit', killed);
  const ended = { code: undefined as number | undefined, beganS: 0, endedS: 0 };
  const exit = once(qemu, 'exit');
  for await (const line of createInterface({ input: qemu.stdout })) {
    const [, word, value, seconds] = /^bintrail-vm (up|exit) (\S+) (\S+)$/.exec(line) ?? [];
    if (word === 'up') ended.beganS = Number(value);
    else if (word === 'exit') Object.assign(ended, { code: Number(value), endedS: Number(seconds) });
    else onLine(line);
  }
  await exit;
  process.removeListener('exit', killed);
  return ended;
}

function qemuArguments(machine: Machine, initrd: string): string[] {
  const { kernelFolder, image, workFolder, cpus, memoryMb, countsInstructions = false, skipsIdle = false } = machine;
  return [
    // Nothing but what is named here: no network, no graphics.
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-M', 'q35'],
    ...['-accel', `tcg,thread=${countsInstructions ? 'single' : 'multi'}`, '-cpu', 'max'],
    ...(countsInstructions ? ['-icount', `shift=0,sleep=${skipsIdle ? 'off' : 'on'}`] : []),
    ...['-smp', `${cpus}`, '-m', `${memoryMb}`],
    ...['-kernel', kernelImage(kernelFolder), '-initrd', initrd, '-append', KERNEL_COMMAND_LINE],
    ...['-drive', `file=${image},if=none,id=disk,format=raw,snapshot=on,cache=unsafe`],
    ...['-device', 'virtio-blk-pci,drive=disk'],
    ...['-serial', `file:${join(workFolder, 'console.log')}`, '-serial', 'stdio'],
  ];
}

function kernelImage(kernelFolder: string): string {
  const name = readdirSync(join(kernelFolder, 'boot')).find((entry) => entry.startsWith('vmlinuz-'));
  if (name === undefined) throw new Error(`no kernel in ${kernelFolder}: remove that folder and run npm test again`);
  return join(kernelFolder, 'boot', name);
}

function makeInitrd(kernelFolder: string, job: string): Buffer {
  const modules = new Map<string, string>();
  for (const entry of readdirSync(join(kernelFolder, 'lib/modules'), { recursive: true, withFileTypes: true })) {
    modules.set(entry.name, join(entry.parentPath, entry.name));
  }
  const guest = (name: string) => file(name, readFileSync(new URL(name, GUEST)));
  return cpio([
    ...['bin', 'modules', 'proc', 'dev', 'root'].map(folder),
    file('bin/busybox', readFileSync(join(kernelFolder, 'bin/busybox'))),
    ...BOOT_MODULES.flatMap((name) => {
      // Not a file where it is built into the kernel.
      const path = modules.get(`${name}.ko`);
      return path === undefined ? [] : [file(`modules/${name}.ko`, readFileSync(path))];
    }),
    ...[guest('init'), guest('boot.sh'), file('job.sh', Buffer.from(job))],
  ]);
}
