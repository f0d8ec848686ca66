/** A storm within a container: its programs lie in the image, the copies of them in what the container wrote. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Podman } from '../containers/podman-kit.ts';
import { buildTools, programIn, type Storm, writePrograms } from './storm-kit.ts';

export type Weather = Pick<Storm, 'digests' | 'blow' | 'programOf'>;

const FOLDER = '/storm';

export async function containerStorm(pod: Podman, programs: number): Promise<Weather> {
  const tools = await buildTools(join(pod.folder, 'storm-tools'));
  let digests: string[] = [];
  const image = await pod.importImage('storm', '', (root) => {
    mkdirSync(join(root, FOLDER));
    copyFileSync(tools.driver, join(root, 'bin/driver'));
    digests = writePrograms(tools, join(root, FOLDER), programs);
  });
  const blow: Weather['blow'] = async (loops, execsPerLoop) => {
    const drive = `for n in ${[...Array(loops).keys()].join(' ')}; do /bin/driver storm ${FOLDER} $n ${execsPerLoop} ${programs} & done; wait`;
    const printed = await pod.podman('run', '--rm', image, '/bin/sh', '-c', drive);
    return printed.split('\n').reduce((sum, count) => sum + Number(count), 0);
  };
  return { digests, blow, programOf: programIn(FOLDER) };
}
