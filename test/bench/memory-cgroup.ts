/** What a container's memory limit would count of a process: its own memory, and what the kernel holds for it. */
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

export type MemoryCgroup = {
  /** A command that runs the one given to it in its own place, charged to this cgroup. */
  readonly wrapper: readonly string[];
  /** In MB of 10^6 bytes, without file pages that may be taken away first: what Kubernetes calls the working set. */
  readonly chargedMb: () => number;
  /** Once nothing runs in it. */
  readonly remove: () => Promise<void>;
};

/** Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst. */
const VERSIONS = [
  { root: '/sys/fs/cgroup/memory', usage: 'memory.usage_in_bytes', inactive: /^total_inactive_file (\d+)$/m },
  { root: '/sys/fs/cgroup', usage: 'memory.current', inactive: /^inactive_file (\d+)$/m },
];
const REMOVE_TRIES = 50;

/** Undefined where no hierarchy counts memory. */
export function openMemoryCgroup(): MemoryCgroup | undefined {
  for (const { root, usage, inactive } of VERSIONS) {
    if (!existsSync(`${root}/cgroup.procs`)) continue;
    const folder = `${root}/bintrail-bench-${process.pid}`;
    mkdirSync(folder);
    if (existsSync(`${folder}/${usage}`)) {
      const read = (name: string) => readFileSync(`${folder}/${name}`, 'utf8');
      return {
        wrapper: ['/bin/sh', '-c', `echo $$ > ${folder}/cgroup.procs && exec "$@"`, 'sh'],
        chargedMb: () => (Number(read(usage)) - Number(inactive.exec(read('memory.stat'))?.[1])) / 1e6,
        remove: () => remove(folder),
      };
    }
    rmdirSync(folder);
  }
  return undefined;
}

/** The last process may be counted for a moment after it has ended. */
async function remove(folder: string): Promise<void> {
  for (let triesLeft = REMOVE_TRIES; triesLeft > 0 && existsSync(folder); triesLeft--) {
    try {
      rmdirSync(folder);
    } catch {
      await delay(20);
    }
  }
}
