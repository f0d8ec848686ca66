/** What operators call their containers: asked of the runtime's own socket, and never waited for without a bound. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openEngineApi } from '@bintrail/probe/containers/engine-api.ts';
import { type SeenRow, type Watched, watchKernel } from '../kernel/probe-kit.ts';
import { openPodman, type Podman, servePodman, whyNoContainers } from './podman-kit.ts';

const skip = whyNoContainers() ?? false;
let pod: Podman;
let socket: string;
let endService: () => Promise<unknown>;

before(async () => {
  if (skip) return;
  pod = await openPodman();
  const service = await servePodman(pod);
  ({ socket } = service);
  endService = service.close;
});

after(async () => {
  await endService?.();
  await (pod as Podman | undefined)?.close();
});

const isExecIn = (id: string, word: string) => (row: SeenRow) =>
  row.container_id === id && row.argv === `/bin/true\0${word}\0`;

async function watching(path: string, body: (watched: Watched) => Promise<void>): Promise<void> {
  const watched = await watchKernel({ containerSources: [openEngineApi('podman', path)] });
  try {
    await body(watched);
  } finally {
    await watched.stop();
  }
}

test(
  'a container is the workload it is named, from its first exec to its last, with its image beside it',
  { skip, timeout: 60_000 },
  () =>
    watching(socket, async (watched) => {
      const digest = await pod.podman('image', 'inspect', '--format', '{{.Digest}}', pod.image);
      const options = ['-d', '--name', 'shop-web', '--label', 'team=shop'];
      const id = await pod.podman('run', ...options, pod.image, '/bin/sh', '-c', '/bin/true named; /bin/sleep 60');
      const row = await watched.row('exec', isExecIn(id, 'named'));
      assert.deepEqual([row.workload, row.image], ['container/podman/shop-web', digest]);
      await pod.podman('rm', '-f', '-t', '0', id);
      await watched.row('exit', ({ container_id, signal }) => container_id === id && signal === 9);
      const all = watched.rows().filter(({ container_id, event }) => container_id === id && event !== 'container');
      assert.deepEqual(
        new Set(all.map(({ workload, image }) => `${workload} ${image}`)),
        new Set([`container/podman/shop-web ${digest}`]),
      );
      assert.ok(all.length >= 5, `${all.length} rows: the runtime’s start, three execs and an end at least`);
      const told = await watched.row('container', ({ container_id }) => container_id === id);
      assert.deepEqual(
        [told.workload, told.deployed_as, told.container_name, told.image, told.image_ref, told.labels],
        ['container/podman/shop-web', 'container/podman/shop-web', 'shop-web', digest, pod.image, '{"team":"shop"}'],
      );
      assert.ok(told.valid_from > 0n && told.valid_from < told.ts);
    }),
);

test('a container that was there before the probe has its name too', { skip, timeout: 60_000 }, async () => {
  const id = await pod.podman(
    'run',
    '-d',
    '--name',
    'earlier',
    pod.image,
    '/bin/sh',
    '-c',
    'while :; do /bin/true earlier; /bin/sleep 0.2; done',
  );
  await watching(socket, async (watched) => {
    const entry = await watched.row('exec', (row) => row.container_id === id && row.flagNames.includes('snapshot'));
    const row = await watched.row('exec', isExecIn(id, 'earlier'));
    assert.deepEqual([entry.workload, row.workload], ['container/podman/earlier', 'container/podman/earlier']);
  });
  await pod.podman('rm', '-f', '-t', '0', id);
});

/** A runtime that takes every call and answers none. */
async function openSilence(path: string): Promise<Server> {
  const server = createServer();
  server.listen(path);
  await once(server, 'listening');
  return server;
}

test('a runtime that never answers delays nobody for long: the container goes by its id', {
  skip,
  timeout: 60_000,
}, async () => {
  const path = join(pod.folder, 'silent.sock');
  const silent = await openSilence(path);
  await watching(path, async (watched) => {
    // Past the time in which everything that was there before is met.
    await delay(5_500);
    const startedMs = performance.now();
    const id = await pod.podman('run', '-d', '--name', 'unheard', pod.image, '/bin/true', 'unheard');
    const row = await watched.row('exec', isExecIn(id, 'unheard'));
    assert.equal(row.workload, `container/podman/${id.slice(0, 12)}`);
    assert.ok(performance.now() - startedMs < 5_000);
    await pod.podman('rm', '-f', '-t', '0', id);
  });
  silent.close();
});
