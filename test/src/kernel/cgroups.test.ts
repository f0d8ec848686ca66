/**
 * Whose process it is, by whichever hierarchy of cgroups a host has: v2, or v1 by pids or by memory. Each is mounted once
 * more in a folder of its own; the kernel's v2 is always there, and on a host with v1 alone all stand in its root.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Watched, watchKernel, whyNotHere } from './probe-kit.ts';

const skip = whyNotHere() ?? false;
let watched: Watched;

before(async () => {
  if (!skip) watched = await watchKernel();
});

after(() => (watched as Watched | undefined)?.stop());

/** Mounts a hierarchy; undefined where its controllers are in use in another one. */
function mountCgroups(type: string, options: string): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'bintrail-cgroup-'));
  try {
    execFileSync('mount', ['-t', type, '-o', options, 'bintrail', folder], { stdio: 'pipe' });
    return folder;
  } catch {
    rmdirSync(folder);
    return undefined;
  }
}

const HIERARCHIES = [
  { name: 'v2', type: 'cgroup2', options: 'rw' },
  { name: 'v1 of pids', type: 'cgroup', options: 'pids' },
  { name: 'v1 of memory, without pids', type: 'cgroup', options: 'memory' },
];

for (const { name, type, options } of HIERARCHIES) {
  test(`a container is known by its cgroup in ${name}`, { skip }, async (t) => {
    const root = mountCgroups(type, options);
    if (root === undefined) return t.skip(`${options} is in use in another hierarchy`);
    const [top, id] = [join(root, `bintrail-${process.pid}`), randomBytes(32).toString('hex')];
    const folders = [top, join(top, `libpod-${id}`), join(top, `libpod-${id}`, 'inner')];
    for (const folder of folders) mkdirSync(folder);
    try {
      const script = `echo $$ > ${folders[2]}/cgroup.procs && exec /bin/true ${id}`;
      execFileSync('/bin/sh', ['-c', script]);
      const row = await watched.row('exec', ({ argv }) => argv === `/bin/true\0${id}\0`);
      assert.deepEqual([row.container_id, row.workload], [id, `container/podman/${id.slice(0, 12)}`]);
      assert.ok(row.cgroup_path.endsWith(folders[2]!.slice(root.length)), row.cgroup_path);
    } finally {
      for (const folder of folders.reverse()) rmdirSync(folder);
      execFileSync('umount', [root]);
      rmdirSync(root);
    }
  });
}
