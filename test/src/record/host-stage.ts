/** What the scenario needs of this host, and takes back: a folder, shells in cgroups of their own, a small package. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** One shell that stands where a workload's processes stand. */
export type Shell = {
  readonly pid: number;
  /** Runs a command line in it and waits for its end, whatever its outcome. */
  readonly run: (commandLine: string) => Promise<void>;
  readonly end: () => void;
};

const ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' };

/** The hierarchy the probe names workloads by: pids of v1 where it is mounted, else v2. */
const CGROUPS = existsSync('/sys/fs/cgroup/pids') ? '/sys/fs/cgroup/pids' : '/sys/fs/cgroup';

/** @returns what makes them, and takes them away again. They must not exist: a real unit is none of our business. */
export function makeCgroups(paths: readonly string[]): () => Promise<void> {
  const made: string[] = [];
  for (const path of paths) {
    if (existsSync(join(CGROUPS, path))) throw new Error(`${join(CGROUPS, path)} exists: record on a host without it`);
    for (let folder = join(CGROUPS, path); folder !== CGROUPS; folder = dirname(folder)) {
      if (!existsSync(folder)) made.push(folder);
    }
    mkdirSync(join(CGROUPS, path), { recursive: true });
  }
  return async () => {
    await delay(500);
    for (const folder of [...new Set(made)].sort((a, b) => b.length - a.length)) rmdirSync(folder);
  };
}

/** Starts bash in a cgroup, as a user, in a folder; it reads command lines from us. */
export async function openShell(cgroup: string, uid: number, folder: string): Promise<Shell> {
  const user = uid === 0 ? '' : `setpriv --reuid ${uid} --regid ${uid} --clear-groups`;
  const script = `echo $$ > ${join(CGROUPS, cgroup, 'cgroup.procs')}; exec ${user} /usr/bin/bash --norc --noprofile`;
  const child = spawn('/bin/sh', ['-c', script], { cwd: folder, env: { ...ENVIRONMENT, HOME: folder } });
  child.stderr.pipe(process.stderr);
  const run = createRunner(child);
  await run(':');
  return { pid: child.pid!, run, end: () => void child.stdin.end() };
}

function createRunner(child: ChildProcess): (commandLine: string) => Promise<void> {
  let output = '';
  let told = () => {};
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    told();
  });
  child.on('exit', () => told());
  let commands = 0;
  return async (commandLine) => {
    const mark = `done ${++commands}\n`;
    child.stdin!.write(`${commandLine}\necho ${mark}`);
    while (!output.includes(mark)) {
      if (child.exitCode !== null) throw new Error(`the shell ended before ${JSON.stringify(commandLine)}`);
      await new Promise<void>((resolve) => {
        told = resolve;
      });
    }
  };
}

/** Makes a folder that must not exist; answers what removes it. */
export function makeFolder(path: string): () => void {
  mkdirSync(path);
  return () => rmSync(path, { recursive: true });
}
