import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { findCommand } from './commands.mjs';
import { runStep } from './progress.mjs';

/** Stands for whatever 6.1 kernel Debian ships now: its dependency names the package that holds one. */
const META_PACKAGE = 'linux-image-cloud-amd64';

/** @returns whether this command starts the virtual machine of the tests */
export function wantsVm(root, mode) {
  return mode === 'test' && existsSync(path.join(root, 'test/vm'));
}

/** What the virtual machine needs of this one: its disk is made of this machine's own Debian packages. */
export function missingForVm(env) {
  const has = (name) => findCommand([name], env) !== undefined;
  if (process.arch !== 'x64') return [{ ...X86, name: `an x86_64 processor (this is ${process.arch})` }];
  if (!has('apt-get') || !has('dpkg')) return [DEBIAN];
  return [...(has('qemu-system-x86_64') ? [] : [QEMU]), ...(has('gcc') ? [] : [GCC])];
}

const X86 = {
  purpose: "the tests' virtual machine runs Debian's kernel for one",
  remedy: 'run that ring of tests on such a machine',
  only: 'vm',
};

const DEBIAN = {
  name: 'apt-get',
  purpose: "fetches Debian's kernel for the virtual machine of the tests",
  remedy: 'run that ring of tests on Debian',
  only: 'vm',
};

const QEMU = {
  name: 'qemu-system-x86_64',
  purpose: "runs the tests' virtual machine",
  packages: { 'apt-get': 'qemu-system-x86' },
  only: 'vm',
};

const GCC = {
  name: 'gcc',
  purpose: "is copied to the tests' virtual machine, where they compile what they run",
  packages: { 'apt-get': 'gcc' },
  only: 'vm',
};

/** Where the kernel and its modules lie as their package has them, and busybox; may not exist yet. */
export function vmFolder(root) {
  return path.join(root, 'test/build/vm');
}

/** Brings Debian's kernel and a static busybox, unpacked but not installed, once. Throws StepFailed with apt's words. */
export async function fetchVm(root, env) {
  const folder = vmFolder(root);
  if (existsSync(folder)) return;
  const partial = `${folder}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  const options = { cwd: partial, env };
  if (process.getuid?.() === 0) await runStep('package lists', ['apt-get', 'update'], options);
  // apt resolves the name only when it is asked to install; `depends` prints it in a line of its own.
  const names = `$(apt-cache depends --important ${META_PACKAGE} | sed -n 's/^ *Depends: //p') busybox-static`;
  await runStep("Debian's kernel for the virtual machine", ['sh', '-ec', `apt-get download ${names}`], options);
  for (const file of readdirSync(partial).filter((name) => name.endsWith('.deb'))) {
    await runStep(`unpacking ${file.split('_')[0]}`, ['dpkg', '-x', file, '.'], options);
    rmSync(path.join(partial, file));
  }
  renameSync(partial, folder);
}
