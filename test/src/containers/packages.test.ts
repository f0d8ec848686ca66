/** Package evidence of real containers: by their own databases, and worth nothing once these were written to. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { installByRpm, whyNoRpm } from '@bintrail/probe/package-evidence/rpm.fixture.ts';
import { type SeenRow, type Watched, watchKernel } from '../kernel/probe-kit.ts';
import { BUSYBOX, openPodman, type Podman, TOOL, whyNoContainers } from './podman-kit.ts';

const skip = whyNoContainers() ?? false;
let pod: Podman;
let watched: Watched;
/** Holds the databases of all three, each of which owns the shell. */
let image: string;

before(async () => {
  if (skip) return;
  pod = await openPodman();
  image = await pod.importImage('packaged', 'a trailer of its own', fillDatabases);
  watched = await watchKernel();
});

after(async () => {
  await (watched as Watched | undefined)?.stop();
  await (pod as Podman | undefined)?.close();
});

function fillDatabases(root: string): void {
  const digest = (path: string, algorithm: string, as: 'hex' | 'base64') =>
    createHash(algorithm)
      .update(readFileSync(join(root, path)))
      .digest(as);
  const put = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  put('var/lib/dpkg/status', 'Package: shell\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\n\n');
  put('var/lib/dpkg/info/shell.list', `/bin\n${BUSYBOX}\n`);
  put('var/lib/dpkg/info/shell.md5sums', `${digest(BUSYBOX, 'md5', 'hex')}  ${BUSYBOX.slice(1)}\n`);
  const checksum = digest(TOOL, 'sha1', 'base64');
  put('lib/apk/db/installed', `P:tool\nV:2.0-r1\nA:x86_64\nF:bin\nR:busybox.tool\na:0:0:755\nZ:Q1${checksum}\n\n`);
  if (whyNoRpm() === undefined) installByRpm(dirname(root), root, join(root, TOOL));
}

const execIn = (id: string, ...argv: string[]) =>
  watched.row('exec', (row) => row.container_id === id && row.argv === `${argv.join('\0')}\0`);

const start = (script: string, ...options: string[]) =>
  pod.podman('run', '-d', ...options, image, '/bin/sh', '-c', script);

const evidence = ({ package: name, package_version, package_match, package_algorithm }: SeenRow) =>
  [name, package_version, package_match, package_algorithm].join(' ');

test('what packages of the image brought is explained, each by its own algorithm', { skip }, async (t) => {
  const id = await start(`${TOOL} true apk; cp ${TOOL} /tmp/copy; /tmp/copy true copied; sleep 60`);
  t.after(() => pod.podman('rm', '-f', '-t', '0', id));
  const shell = await watched.row('exec', (row) => row.container_id === id && row.argv.startsWith('/bin/sh\0-c'));
  assert.equal(evidence(shell), 'dpkg:shell:amd64 1.0 match md5');
  assert.equal(evidence(await execIn(id, TOOL, 'true', 'apk')), 'apk:tool:x86_64 2.0-r1 match sha1');
  assert.equal(
    evidence(await execIn(id, '/tmp/copy', 'true', 'copied')),
    '   ',
    'the same bytes elsewhere are nobody’s',
  );
});

test('a program that rpm installed in the image', { skip: skip || whyNoRpm() || false }, async (t) => {
  const id = await start('/usr/bin/demo true rpm; sleep 60');
  t.after(() => pod.podman('rm', '-f', '-t', '0', id));
  const row = await execIn(id, '/usr/bin/demo', 'true', 'rpm');
  assert.match(evidence(row), /^rpm:demo:\w+ 2:1.5-3 match sha256$/);
});

test('whoever writes the database of his container claims, and explains nothing', { skip }, async (t) => {
  const script = `cp ${BUSYBOX} /tmp/evil; echo evil >> /tmp/evil
    cd /var/lib/dpkg/info; cat shell.list > /tmp/list; echo /tmp/evil >> /tmp/list; mv /tmp/list shell.list
    cd /; md5sum tmp/evil > /tmp/sums; mv /tmp/sums /var/lib/dpkg/info/shell.md5sums
    /tmp/evil true attack; ${TOOL} true innocent; sleep 60`;
  const id = await start(script);
  t.after(() => pod.podman('rm', '-f', '-t', '0', id));
  const evil = await execIn(id, '/tmp/evil', 'true', 'attack');
  assert.equal(evidence(evil), 'dpkg:shell:amd64 1.0 claimed md5');
  assert.equal(evidence(await execIn(id, TOOL, 'true', 'innocent')), 'apk:tool:x86_64 2.0-r1 match sha1');
});

test('a changed program of the image is a mismatch', { skip }, async (t) => {
  const id = await start(`echo >> ${TOOL}; ${TOOL} true changed; sleep 60`);
  t.after(() => pod.podman('rm', '-f', '-t', '0', id));
  const row = await execIn(id, TOOL, 'true', 'changed');
  assert.equal(evidence(row), 'apk:tool:x86_64 2.0-r1 mismatch sha1');
  assert.ok(row.flagNames.includes('upper_layer'));
});

test('a container that is gone at once says that nobody could be asked', { skip }, async () => {
  const id = await pod.podman('create', image, TOOL, 'true', 'short');
  await pod.podman('start', '--attach', id);
  const row = await execIn(id, TOOL, 'true', 'short');
  await pod.podman('rm', '-f', id);
  assert.ok(['unread', 'match'].includes(row.package_match), evidence(row));
});
