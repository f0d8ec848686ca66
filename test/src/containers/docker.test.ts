/** Containers of a real dockerd, named by its API. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openEngineApi } from '@bintrail/probe/containers/engine-api.ts';
import { type SeenRow, type Watched, watchKernel } from '../kernel/probe-kit.ts';
import { type Docker, openDocker, whyNoDocker } from './docker-kit.ts';
import { openPodman, type Podman, whyNoContainers } from './podman-kit.ts';

const skip = whyNoContainers() ?? whyNoDocker() ?? false;
const IMAGE = 'registry.example:5000/shop/till:2';
let pod: Podman;
let docker: Docker;
let watched: Watched;

before(async () => {
  if (skip) return;
  pod = await openPodman();
  docker = await openDocker(join(pod.folder, 'docker'));
  await docker.docker('import', join(pod.folder, 'test.tar'), IMAGE);
  watched = await watchKernel({ containerSources: [openEngineApi('docker', docker.socket)] });
});

after(async () => {
  await (watched as Watched | undefined)?.stop();
  await (docker as Docker | undefined)?.close();
  await (pod as Podman | undefined)?.close();
});

test('a container of Docker is the workload it is named, by its image as well', { skip, timeout: 90_000 }, async () => {
  const imageId = await docker.docker('image', 'inspect', '--format', '{{.Id}}', IMAGE);
  const options = ['-d', '--network=none', '--name', 'till', '--label', 'team=shop'];
  const id = await docker.docker('run', ...options, IMAGE, '/bin/sh', '-c', '/bin/true own; /bin/sleep 60');
  const isOf = (row: SeenRow, word: string) => row.container_id === id && row.argv === `/bin/true\0${word}\0`;
  const own = await watched.row('exec', (row) => isOf(row, 'own'));
  // Never pushed or pulled, it has no manifest.
  assert.deepEqual([own.workload, own.image], ['container/docker/till', imageId]);
  assert.ok(!own.flagNames.includes('runtime_setup'));
  await docker.docker('exec', id, '/bin/true', 'later');
  const later = await watched.row('exec', (row) => isOf(row, 'later'));
  assert.equal(later.workload, 'container/docker/till');
  const setup = await watched.row('exec', (row) => row.container_id === id && row.flagNames.includes('runtime_setup'));
  assert.equal(setup.workload, 'container/docker/till');
  const told = await watched.row('container', (row) => row.container_id === id);
  assert.deepEqual(
    [told.runtime, told.deployed_as, told.container_name, told.image_ref, told.image_id, told.labels],
    ['docker', 'container/docker/till', 'till', IMAGE, imageId, '{"team":"shop"}'],
  );
  assert.ok(told.valid_from > 0n && told.valid_from < told.ts);
  await docker.docker('rm', '-f', id);
});
