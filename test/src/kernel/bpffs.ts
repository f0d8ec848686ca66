/** A bpffs of a test's own, so that the machine's census is left alone. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './probe-kit.ts';

export type Bpffs = {
  /** To be made by a probe. */
  readonly folder: string;
  /** What is pinned in it ends with it. */
  readonly remove: () => Promise<void>;
};

export async function mountBpffs(): Promise<Bpffs> {
  const parent = mkdtempSync(join(tmpdir(), 'bintrail-bpffs-'));
  const mountPoint = join(parent, 'bpf');
  mkdirSync(mountPoint);
  await run('mount', ['-t', 'bpf', 'bpf', mountPoint]);
  const remove = async () => {
    await run('umount', [mountPoint]);
    rmSync(parent, { recursive: true });
  };
  return { folder: join(mountPoint, 'bintrail'), remove };
}
