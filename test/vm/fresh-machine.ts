/** A machine made for one job of this checkout, from what set-up fetched, and thrown away after it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchVm, vmFolder } from '../../infra/setup/vm.mjs';
import { makeImage } from './image.ts';
import { type Ended, type Machine, runInMachine } from './machine.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

export type Wanted = Pick<Machine, 'cpus' | 'memoryMb' | 'countsInstructions' | 'skipsIdle'> & {
  /** Debian packages of this machine to have there besides. */
  readonly extraPackages?: readonly string[];
  /** Where another kernel than the fetched one lies unpacked, with busybox beside it, as in test/build/vm. */
  readonly kernelFolder?: string | undefined;
};

/** Runs the shell script in the checkout's folder there; each line it prints is handed on. */
export async function runInFreshMachine(wanted: Wanted, job: string, onLine: (line: string) => void): Promise<Ended> {
  await fetchVm(ROOT, process.env);
  const workFolder = mkdtempSync(join(tmpdir(), 'bintrail-vm-'));
  try {
    const image = await makeImage(ROOT, workFolder, wanted.extraPackages);
    return await runInMachine(
      { ...wanted, kernelFolder: wanted.kernelFolder ?? vmFolder(ROOT), image, workFolder },
      job,
      onLine,
    );
  } finally {
    rmSync(workFolder, { recursive: true, force: true });
  }
}
