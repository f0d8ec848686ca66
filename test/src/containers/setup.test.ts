/** What a runtime starts to set containers up is told from what they run; whoever wants to hide there is seen. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { run, type SeenRow, type Watched, watchKernel } from '../kernel/probe-kit.ts';
import { openPodman, type Podman, whyNoContainers } from './podman-kit.ts';

const skip = whyNoContainers() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bt-setup-'));
const runtime = join(folder, 'runtime');
const containerId = randomBytes(32).toString('hex');
let cgroup = '';
let pod: Podman;
let watched: Watched;

before(async () => {
  if (skip) return;
  await run('cc', ['-O1', '-o', runtime, fileURLToPath(new URL('runtime.c', import.meta.url))]);
  cgroup = join(pidsHierarchy(), `libpod-${containerId}`);
  mkdirSync(cgroup);
  pod = await openPodman();
  watched = await watchKernel();
});

after(async () => {
  await (watched as Watched | undefined)?.stop();
  await (pod as Podman | undefined)?.close();
  for (let triesLeft = 50; cgroup !== '' && triesLeft > 0; triesLeft--) {
    try {
      rmdirSync(cgroup);
      break;
    } catch {
      await delay(100);
    }
  }
  rmSync(folder, { recursive: true });
});

/** Where the cgroups are that tell workloads apart: of the pids controller, on a unified host of everything. */
function pidsHierarchy(): string {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const pids = mounts.find((line) => / - cgroup \S+ \S*\bpids\b/.test(line));
  return (pids ?? mounts.find((line) => line.includes(' - cgroup2 ')) ?? '').split(' ')[4] ?? '';
}

const isSetup = (row: SeenRow) => row.flagNames.includes('runtime_setup');
/** A copy of itself in memory, or, where it is moved into the cgroup before it makes that, the file on the disk. */
const isRunc = ({ path }: SeenRow) => path === 'runc' || path.endsWith('/runc');
const execOf = (...argv: string[]) => watched.row('exec', (row) => row.argv === `${argv.join('\0')}\0`);

test('runc’s own starts in a container are its set-up, for the entrypoint and for every exec', { skip }, async (t) => {
  const id = await pod.podman('run', '-d', pod.image, '/bin/sh', '-c', '/bin/true inside; /bin/sleep 60');
  await pod.podman('exec', id, '/bin/true', 'by-exec');
  const own = [await execOf('/bin/true', 'inside'), await execOf('/bin/true', 'by-exec')];
  await delay(1_000);
  const rows = watched.rows().filter((row) => row.event === 'exec' && row.container_id === id);
  const setups = rows.filter(isSetup);
  // runc starts itself again before or after it is moved into the cgroup: on a busy machine both happen.
  t.diagnostic(`${setups.length} set-ups`);
  assert.ok(setups.every((row) => row.argv.endsWith('init\0') && row.parent_path.endsWith('/runc')));
  assert.deepEqual(own.map(isSetup), [false, false]);
  assert.deepEqual(new Set(rows.filter((row) => !isSetup(row)).map(({ path }) => path)), new Set(['/bin/busybox']));
  await pod.podman('rm', '-f', '-t', '0', id);
});

for (const [way, what, expected] of [
  ['itself', 'the program of its parent outside', true],
  ['memfd', 'a memfd with the content of its parent', true],
  ['changed-memfd', 'a memfd with another content, by a runtime’s name', false],
  ['/bin/busybox', 'another program of the host, by a runtime’s name', false],
] as const) {
  test(`${what} ${expected ? 'sets the container up' : 'is what the container runs'}`, { skip }, async () => {
    await run(runtime, [way, join(cgroup, 'cgroup.procs'), way]).catch(() => {});
    const row = await execOf('runc', 'stay', way);
    assert.equal(row.container_id, containerId);
    assert.notEqual(row.sha256, '');
    assert.equal(isSetup(row), expected);
    if (way === '/bin/busybox') return;
    const child = await execOf('runc', 'end', way);
    assert.equal(isSetup(child), false, 'started from within');
    assert.equal(child.sha256, row.sha256);
  });
}

test('a program of the image does not become set-up by a name, nor by starting itself', { skip }, async () => {
  const id = await pod.podman(
    'run',
    '-d',
    pod.image,
    '/bin/sh',
    '-c',
    'cp /bin/busybox /bin/busybox.init; exec /bin/busybox.init sh -c "/bin/busybox.init true init; /bin/busybox.init sleep 60"',
  );
  await execOf('/bin/busybox.init', 'true', 'init');
  const rows = watched.rows().filter((row) => row.event === 'exec' && row.container_id === id && !isRunc(row));
  assert.ok(rows.length >= 3);
  assert.deepEqual(rows.filter(isSetup), []);
  await pod.podman('rm', '-f', '-t', '0', id);
});
