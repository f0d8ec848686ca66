/** What real containers show: whose they are, what changed since their image, and each file of an image read once. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { type SeenRow, type Watched, watchKernel } from '../kernel/probe-kit.ts';
import { BUSYBOX, openPodman, type Podman, TOOL, whyNoContainers } from './podman-kit.ts';

const skip = whyNoContainers() ?? false;
let pod: Podman;
let watched: Watched;
let busybox: string;

before(async () => {
  if (skip) return;
  pod = await openPodman();
  busybox = createHash('sha256').update(readFileSync(pod.busyboxPath)).digest('hex');
  watched = await watchKernel();
});

after(async () => {
  await (watched as Watched | undefined)?.stop();
  await (pod as Podman | undefined)?.close();
});

/** The exec in this container whose arguments are these. */
const execIn = (id: string, ...argv: string[]) =>
  watched.row('exec', (row) => row.container_id === id && row.argv === `${argv.join('\0')}\0`);

test('an exec in a container is the container’s, from the first one on', { skip }, async () => {
  const id = await pod.podman(
    'run',
    '-d',
    '--name',
    'attributed',
    pod.image,
    '/bin/sh',
    '-c',
    '/bin/true once; sleep 60',
  );
  const [entry, child] = [
    await execIn(id, '/bin/sh', '-c', '/bin/true once; sleep 60'),
    await execIn(id, '/bin/true', 'once'),
  ];
  for (const row of [entry, child]) {
    assert.equal(row.workload, `container/podman/${id.slice(0, 12)}`);
    assert.equal(row.path, BUSYBOX);
    assert.equal(row.sha256, busybox);
    assert.equal(row.digest_strength, 'exact');
    assert.ok(row.flagNames.includes('overlay') && !row.flagNames.includes('upper_layer'), `${row.flagNames}`);
  }
  assert.notEqual(entry.mnt_ns, (await watched.row('exec', ({ path }) => path.endsWith('/podman'))).mnt_ns);
  assert.notEqual(entry.pid_ns, 0);
  assert.equal(child.parent_path, BUSYBOX);
  const first = watched.rows().find((row) => row.event === 'exec' && row.cgroup_path.includes(id));
  assert.equal(first?.container_id, id, 'the runtime’s own start in the cgroup is the first');
  await pod.podman('rm', '-f', '-t', '0', id);
  const exit = await watched.row('exit', (row) => row.pid === entry.pid && row.start_ns === entry.start_ns);
  assert.deepEqual([exit.workload, exit.container_id], [entry.workload, id]);
});

test('a file written in a container is flagged, a changed file of the image is another one', { skip }, async () => {
  const script = [
    'cp /bin/busybox /tmp/busybox.dropped',
    '/tmp/busybox.dropped true added',
    `${TOOL} true before`,
    `chmod 700 ${TOOL}`, // a copy-up: the same bytes, from another inode
    `${TOOL} true copied-up`,
    '/bin/sleep 60',
  ].join(' && ');
  const id = await pod.podman('run', '-d', pod.image, '/bin/sh', '-c', script);
  const [added, before, copied] = [
    await execIn(id, '/tmp/busybox.dropped', 'true', 'added'),
    await execIn(id, TOOL, 'true', 'before'),
    await execIn(id, TOOL, 'true', 'copied-up'),
  ];
  // Not sooner: what ran could have changed before it was read.
  await pod.podman('exec', id, '/bin/sh', '-c', `echo >> ${TOOL} && ${TOOL} true modified`);
  const modified = await execIn(id, TOOL, 'true', 'modified');
  const isUpper = (row: SeenRow) => row.flagNames.includes('upper_layer');
  assert.deepEqual([added, before, copied, modified].map(isUpper), [true, false, true, true]);
  assert.deepEqual(
    [added, before, copied].map(({ sha256 }) => sha256),
    Array(3).fill(busybox),
  );
  assert.notEqual(modified.sha256, '');
  assert.notEqual(modified.sha256, busybox);
  const inode = (row: SeenRow) => `${row.dev}:${row.ino}`;
  assert.notEqual(inode(copied), inode(before), 'the upper inode, not the one of the image');
  assert.equal(inode(modified), inode(copied));
  await pod.podman('rm', '-f', '-t', '0', id);
});

test('two containers that share an image: each of its files is read once', { skip }, async () => {
  const image = await pod.importImage('shared', 'a trailer that no other file of this host has');
  const rowsOf = async (word: string) => {
    const id = await pod.podman(
      'run',
      '-d',
      image,
      '/bin/sh',
      '-c',
      `${TOOL} true ${word}; ${TOOL} true ${word} twice`,
    );
    await execIn(id, TOOL, 'true', word);
    await execIn(id, TOOL, 'true', word, 'twice');
    await pod.podman('rm', '-f', '-t', '0', id);
    return watched.rows().filter((row) => row.event === 'exec' && row.container_id === id && row.path === TOOL);
  };
  const [first, second] = [await rowsOf('one'), await rowsOf('two')];
  // On a busy machine the record may come before what fanotify handed over, or after it was begun to be read.
  assert.ok(['held', 'cache', 'exe'].includes(first[0]!.digest_source), first[0]!.digest_source);
  assert.deepEqual(
    second.map(({ digest_source }) => digest_source),
    ['cache', 'cache'],
  );
  const same = [...first, ...second].map(({ ino, sha256 }) => `${ino} ${sha256}`);
  assert.equal(new Set(same).size, 1);
  assert.notEqual(first[0]!.sha256, busybox);
});

test('a filesystem that only a container sees is marked once something ran there', { skip }, async () => {
  const at = '/scratch/busybox.own';
  const runs = Array.from({ length: 5 }, (_, nth) => [at, 'sh', '-c', `/bin/sleep 1; : ${nth}`] as const);
  const commands = ['cp /bin/busybox /scratch/busybox.own', ...runs.map(([, ...words]) => `${at} sh -c "${words[2]}"`)];
  const onlyHere = ['--tmpfs', '/scratch:rw,exec,mode=0755'];
  const id = await pod.podman('run', '-d', ...onlyHere, pod.image, '/bin/sh', '-c', commands.join(' && '));
  const [first, ...later] = await Promise.all(runs.map((argv) => execIn(id, ...argv)));
  const isMounted = readFileSync('/proc/self/mountinfo', 'utf8').includes(' /scratch ');
  assert.equal(isMounted, false, 'in the container’s mount namespace alone');
  for (const row of [first!, ...later]) {
    assert.equal(row.sha256, busybox);
    assert.equal(row.digest_strength, 'alive');
  }
  assert.equal(first!.digest_source, 'exe');
  // On a busy machine the record may come before what fanotify handed over: then the running program is read as well.
  const sources = later.map(({ digest_source }) => digest_source);
  assert.ok(sources.includes('held'), `handed over at last: ${sources}`);
  await pod.podman('rm', '-f', '-t', '0', id);
});
