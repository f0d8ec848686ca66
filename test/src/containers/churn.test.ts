/** Containers that come and go: every exec is theirs, nothing is left behind, and nobody is kept from ending. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type SeenRow, watchKernel } from '../kernel/probe-kit.ts';
import { openPodman, type Podman, whyNoContainers } from './podman-kit.ts';

const skip = whyNoContainers() ?? false;
/** Short containers in a row: 300 by hand. */
const COUNT = Number(process.env.BINTRAIL_CONTAINERS ?? 20);
/** How long a held file may keep a container from ending (design: descriptors). */
const BOUND_MS = 2_000;
let pod: Podman;

before(async () => {
  if (!skip) pod = await openPodman();
});

after(() => (pod as Podman | undefined)?.close());

/** What a container could leave behind in this process, which runs the probe: descriptors, marks, mapped BPF maps. */
function leftovers() {
  const open = readdirSync('/proc/self/fd');
  const marks = readdirSync('/proc/self/fdinfo').flatMap((fd) => {
    const text = open.includes(fd) ? readText(`/proc/self/fdinfo/${fd}`) : '';
    return text.split('\n').filter((line) => line.startsWith('fanotify sdev:'));
  });
  // Of the rest most is V8's heap, which comes and goes.
  const mapped = readText('/proc/self/maps')
    .split('\n')
    .filter((line) => line.includes('bpf'));
  return { descriptors: open.length, marks: marks.length, maps: mapped.length };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

const isSameImage = (one: SeenRow) => (row: SeenRow) =>
  row.pid === one.pid && row.start_ns === one.start_ns && row.self_exec_id === one.self_exec_id;
const inContainer = (row: SeenRow, word: string) => row.event === 'exec' && row.argv === `/bin/true\0${word}\0`;

test(`${COUNT} short containers in a row: each exec is its container’s, with a digest, and nothing is left behind`, {
  skip,
  timeout: 30_000 + COUNT * 3_000,
}, async (t) => {
  const watched = await watchKernel();
  try {
    const words = Array.from({ length: COUNT }, (_, index) => `short-${index}`);
    for (const word of words.slice(0, 5)) await pod.shell(`/bin/true ${word}`);
    await watched.row('exec', (row) => inContainer(row, words[4]!));
    const before = leftovers();
    for (const word of words.slice(5)) await pod.shell(`/bin/true ${word}`);
    for (const word of words) await watched.row('exec', (row) => inContainer(row, word));
    const after = leftovers();
    t.diagnostic(`before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`);
    // Others mount things on this host meanwhile, and a process lives; what each container left would be COUNT times as much.
    for (const [what, count] of Object.entries(after)) {
      const grown = count - before[what as keyof typeof before];
      assert.ok(grown < 0.5 * COUNT, `${grown} more ${what}`);
    }
    const rows = words.map((word) => watched.rows().filter((row) => inContainer(row, word)));
    assert.deepEqual(new Set(rows.map(({ length }) => length)), new Set([1]), 'each once');
    assert.equal(new Set(rows.flat().map(({ container_id }) => container_id)).size, COUNT);
    for (const row of rows.flat()) {
      assert.match(row.container_id, /^[0-9a-f]{64}$/);
      assert.ok(row.cgroup_path.includes(row.container_id));
    }
    const ids = new Set(rows.flat().map(({ container_id }) => container_id));
    const isOwn = ({ event, container_id, flagNames }: SeenRow) =>
      event === 'exec' && ids.has(container_id) && !flagNames.includes('runtime_setup');
    const own = await Promise.all(
      watched
        .rows()
        .filter(isOwn)
        .map((row) => watched.row('exec', isSameImage(row))),
    );
    assert.ok(own.length >= 2 * COUNT);
    const missing = own
      .filter(({ sha256 }) => sha256 === '')
      .map(({ path, digest_reason }) => ({ path, digest_reason }));
    assert.deepEqual(missing, []);
    assert.equal(new Set(own.map(({ sha256 }) => sha256)).size, 1, 'the one program of the image');
  } finally {
    await watched.stop();
  }
});

test('a container outlives the probe: the next one knows it, and what it runs', { skip, timeout: 60_000 }, async () => {
  const first = await watchKernel();
  const id = await pod.podman('run', '-d', pod.image, '/bin/sh', '-c', 'while :; do /bin/sleep 0.2; done');
  const isEntry = (row: SeenRow) => row.container_id === id && row.argv.startsWith('/bin/sh\0');
  const isSleep = (row: SeenRow) => row.container_id === id && row.argv === '/bin/sleep\x000.2\0';
  const entry = await first.row('exec', isEntry);
  await first.row('exec', isSleep);
  await first.stop();
  const second = await watchKernel();
  try {
    const found = await second.row('exec', isEntry);
    assert.deepEqual(found.flagNames, [...entry.flagNames, 'snapshot'].sort(byFlag(found)));
    assert.deepEqual([found.pid, found.start_ns, found.workload], [entry.pid, entry.start_ns, entry.workload]);
    const later = await second.row('exec', (row) => isSleep(row) && !row.flagNames.includes('snapshot'));
    assert.equal(later.parent_path, entry.path);
    assert.equal(later.sha256, entry.sha256);
    await pod.podman('rm', '-f', '-t', '0', id);
    const exit = await second.row('exit', (row) => row.pid === entry.pid && row.start_ns === entry.start_ns);
    assert.equal(exit.workload, entry.workload);
  } finally {
    await second.stop();
  }
});

const byFlag = (row: SeenRow) => (a: string, b: string) =>
  row.flagNames.indexOf(a as never) - row.flagNames.indexOf(b as never);

test('containers start, restart and end while others run new programs without a pause', {
  skip,
  timeout: 120_000,
}, async (t) => {
  const watched = await watchKernel();
  try {
    // A file that nobody has seen for each exec: every one is handed over, read and let go.
    const storm =
      'n=0; while :; do n=$((n+1)); cp /bin/busybox /tmp/busybox.$n; echo $n >> /tmp/busybox.$n; /tmp/busybox.$n true; rm /tmp/busybox.$n; done';
    const storms = await Promise.all([1, 2].map(() => pod.podman('run', '-d', pod.image, '/bin/sh', '-c', storm)));
    await watched.row('exec', (row) => row.container_id === storms[0] && row.path.startsWith('/tmp/busybox.'));
    const steady = await pod.podman('run', '-d', pod.image, '/bin/sh', '-c', '/bin/true steady; /bin/sleep 100');
    const tookMs: number[] = [];
    for (let round = 0; round < 3; round++) {
      const startedMs = performance.now();
      await pod.podman('restart', '--time', '0', steady);
      tookMs.push(Math.round(performance.now() - startedMs));
      await pod.shell(`/bin/true between-${round}`);
    }
    const mounts = () =>
      readText('/proc/self/mountinfo')
        .split('\n')
        .filter((line) => line.includes(`${pod.folder}/root/overlay/`));
    const endedMs = performance.now();
    await pod.podman('rm', '--force', '--time', '0', steady, ...storms);
    t.diagnostic(
      `restarts took ${tookMs.join(', ')} ms, the end of all three ${Math.round(performance.now() - endedMs)} ms`,
    );
    // podman itself needs a while beside such a storm.
    assert.ok(Math.max(...tookMs) < BOUND_MS + 2_000, `a restart took ${Math.max(...tookMs)} ms`);
    assert.deepEqual(mounts(), [], 'every container is unmounted');
    await delay(100);
    const ran = watched
      .rows()
      .filter((row) => row.event === 'exec' && storms.includes(row.container_id) && row.path.startsWith('/tmp/'));
    assert.ok(ran.length > 20, `${ran.length} new programs`);
  } finally {
    await watched.stop();
  }
});
