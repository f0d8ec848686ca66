/** Databases in roots of other mount namespaces, on the running kernel: whose word counts, and what cannot fool the reader. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type BpfObject, loadBpfObject } from '../bpf-object.ts';
import { loadLibbpf, loadLibc } from '../ffi.ts';
import { inodeKey } from '../file-identity.ts';
import { type Answer, type ContainerPackages, openContainerPackages } from './container-packages.ts';
import {
  BUSYBOX,
  makeImage,
  type OverlayRoot,
  startInOverlay,
  whyNoOverlay,
  writeTree,
} from './overlay-root.fixture.ts';
import { rpmHeader, writeRpmDatabase } from './rpm.fixture.ts';

const skip = whyNoOverlay() ?? false;
const OBJECT = fileURLToPath(new URL('../../../../bpf/build/bintrail.bpf.o', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'container-packages-'));
const libc = loadLibc();
let bpf: BpfObject;
let packages: ContainerPackages;

before(() => {
  if (skip) return;
  bpf = loadBpfObject(loadLibbpf(), libc, OBJECT);
  packages = openContainerPackages({ libc, describe: bpf.describe });
});
after(() => {
  (bpf as BpfObject | undefined)?.close();
  rmSync(folder, { recursive: true, force: true });
});

const bytes = skip ? Buffer.alloc(0) : readFileSync(BUSYBOX);
const digest = (algorithm: string) => createHash(algorithm).update(bytes).digest('hex');
const sha1 = `Q1${Buffer.from(digest('sha1'), 'hex').toString('base64')}`;
const APK = { 'lib/apk/db/installed': `P:busybox\nV:1.36\nA:x86_64\nF:bin\nR:busybox\na:0:0:755\nZ:${sha1}\n\n` };
const DPKG = {
  'var/lib/dpkg/status': 'Package: busybox\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n',
  'var/lib/dpkg/info/busybox.list': '/bin\n/bin/busybox\n',
  'var/lib/dpkg/info/busybox.md5sums': `${digest('md5')}  bin/busybox\n`,
  'var/lib/dpkg/updates': null,
};

async function start(t: TestContext, image: string, options: Parameters<typeof startInOverlay>[2] = {}) {
  const root = await startInOverlay(folder, image, options);
  t.after(root.stop);
  return root;
}

function inodeOf({ pid }: OverlayRoot, path: string): string {
  const fd = openSync(`/proc/${pid}/root${path}`, constants.O_RDONLY);
  const state = bpf.describe(fd)!;
  closeSync(fd);
  return inodeKey(state);
}

const ask = (root: OverlayRoot, path = BUSYBOX, inode = inodeOf(root, path)) =>
  packages.ask({ path, inode, where: { pids: [root.pid], mountNs: root.mountNs } });

const brief = ({ outcome, owners }: Answer) => [
  outcome,
  ...owners.map((owner) => `${owner.manager}:${owner.package} ${owner.algorithm} ${owner.sealed ? 'sealed' : 'open'}`),
];

test('dpkg, rpm and apk of an image, each by its own algorithm', { skip }, async (t) => {
  const image = makeImage(folder, { ...APK, ...DPKG });
  writeRpmDatabase(image, [rpmHeader('busybox', [{ path: BUSYBOX, digest: digest('sha256') }], { algorithm: 8 })]);
  const answer = await ask(await start(t, image));
  assert.deepEqual(brief(answer).sort(), [
    'answered',
    'apk:busybox sha1 sealed',
    'dpkg:busybox md5 sealed',
    'rpm:busybox sha256 sealed',
  ]);
  for (const owner of answer.owners) assert.equal(owner.digest, digest(owner.algorithm));
});

test('containers of one image share one index; another image has its own', { skip }, async (t) => {
  const [one, two] = [makeImage(folder, APK), makeImage(folder, APK)];
  const before = packages.size().databases;
  for (const image of [one, one, one, two]) {
    const root = await start(t, image);
    assert.deepEqual(brief(await ask(root)), ['answered', 'apk:busybox sha1 sealed']);
  }
  assert.equal(packages.size().databases, before + 2);
});

test('merged /usr: the database says /bin, the kernel /usr/bin', { skip }, async (t) => {
  const image = makeImage(folder, { ...APK, ...DPKG, usr: null });
  renameSync(join(image, 'bin'), join(image, 'usr/bin'));
  symlinkSync('usr/bin', join(image, 'bin'));
  writeRpmDatabase(image, [rpmHeader('busybox', [{ path: BUSYBOX, digest: digest('sha256') }], { algorithm: 8 })]);
  const { owners } = await ask(await start(t, image), '/usr/bin/busybox');
  assert.deepEqual(owners.map(({ manager, comparedPath }) => `${manager} ${comparedPath}`).sort(), [
    `apk ${BUSYBOX}`,
    `dpkg ${BUSYBOX}`,
    `rpm ${BUSYBOX}`,
  ]);
});

test('whoever edits the database in the container opens it: it explains nothing any more', { skip }, async (t) => {
  const edits: Record<string, [Record<string, string | null>, string]> = {
    apk: [APK, 'echo >> /lib/apk/db/installed'],
    'apk, a file beside': [APK, 'touch /lib/apk/db/new'],
    dpkg: [DPKG, 'echo >> /var/lib/dpkg/status'],
    'dpkg, another list': [DPKG, 'touch /var/lib/dpkg/info/evil.list'],
    'dpkg, a diversion': [DPKG, 'touch /var/lib/dpkg/diversions'],
    'dpkg, its journal': [DPKG, 'touch /var/lib/dpkg/updates/0001'],
  };
  for (const [what, [files, edit]] of Object.entries(edits)) {
    const root = await start(t, makeImage(folder, files));
    assert.match(brief(await ask(root)).join(), / sealed$/, what);
    root.run('sh', '-c', edit);
    const answer = await ask(root);
    assert.match(brief(answer).join(), /^answered,.* open$/, `${what}: ${answer.why}`);
  }
});

test('an attacker’s program in a forged database is claimed, never matched', { skip }, async (t) => {
  const root = await start(t, makeImage(folder, { ...DPKG, 'opt/tool': 'a tool that no package has' }));
  assert.deepEqual(brief(await ask(root, '/opt/tool')), ['answered']);
  const forged = 'Package: tool\\nStatus: install ok installed\\nArchitecture: amd64\\nVersion: 1\\n\\n';
  root.run('sh', '-c', `printf '${forged}' >> /var/lib/dpkg/status; cd /var/lib/dpkg/info; echo /opt/tool > tool.list`);
  root.run('sh', '-c', 'cd /; md5sum opt/tool > /var/lib/dpkg/info/tool.md5sums');
  const answer = await ask(root, '/opt/tool');
  assert.deepEqual(brief(answer), ['answered', 'dpkg:tool md5 open']);
  assert.equal(answer.owners[0]!.digest, createHash('md5').update('a tool that no package has').digest('hex'));
});

test('rpm that was only asked leaves an empty log behind, which opens nothing', { skip }, async (t) => {
  const image = makeImage(folder, {});
  writeRpmDatabase(image, [rpmHeader('busybox', [{ path: BUSYBOX, digest: digest('sha256') }], { algorithm: 8 })]);
  const root = await start(t, image);
  root.run('touch', '/var/lib/rpm/rpmdb.sqlite-wal', '/var/lib/rpm/rpmdb.sqlite-shm');
  assert.deepEqual(brief(await ask(root)), ['answered', 'rpm:busybox sha256 sealed']);
  root.run('sh', '-c', 'echo garbage > /var/lib/rpm/rpmdb.sqlite-wal');
  assert.deepEqual(brief(await ask(root)), ['answered', 'rpm:busybox sha256 open']);
});

test('an overlay that anybody could make, and one that is mounted over the database, prove nothing', {
  skip,
}, async (t) => {
  const image = makeImage(folder, APK);
  const asUser = await start(t, image, { asUser: true }).catch(() => undefined);
  if (asUser === undefined) t.diagnostic('user namespaces cannot mount overlays here');
  else assert.deepEqual(brief(await ask(asUser)), ['answered', 'apk:busybox sha1 open']);
  const setUp = `busybox cp -a /lib/apk/db /tmp/db
    busybox mount -t tmpfs tmpfs /lib/apk/db; busybox cp /tmp/db/installed /lib/apk/db/`;
  assert.deepEqual(brief(await ask(await start(t, image, { setUp }))), ['answered', 'apk:busybox sha1 open']);
});

test('paths begin at the root of the namespace, whatever root a process has given itself', { skip }, async (t) => {
  const image = makeImage(folder, { ...APK, 'jail/lib/apk/db/installed': APK['lib/apk/db/installed'] });
  const setUp = 'busybox mkdir -p /jail/bin; busybox cp /bin/busybox /jail/bin/';
  const root = await start(t, image, { setUp, chroot: '/jail' });
  assert.deepEqual(brief(await ask(root, BUSYBOX, inodeOf(root, BUSYBOX))), ['answered'], 'another file is there');
  assert.deepEqual(brief(await ask(root, '/jail/bin/busybox', inodeOf(root, BUSYBOX))), ['answered']);
});

test('a path that names another file by now is nobody’s; a process that is gone answers nothing', {
  skip,
}, async (t) => {
  const root = await start(t, makeImage(folder, APK));
  const inode = inodeOf(root, BUSYBOX);
  assert.deepEqual(brief(await ask(root, BUSYBOX, `1${inode}`)), ['answered']);
  root.run('sh', '-c', 'cp /bin/busybox /bin/new; mv /bin/new /bin/busybox');
  assert.deepEqual(brief(await ask(root, BUSYBOX, inode)), ['answered']);
  assert.deepEqual(
    brief(await ask(root)),
    ['answered', 'apk:busybox sha1 sealed'],
    'the image still says so of its path',
  );
  const elsewhere = { pids: [root.pid], mountNs: root.mountNs + 1 };
  assert.equal((await packages.ask({ path: BUSYBOX, inode, where: elsewhere })).outcome, 'gone');
});

/** What lies where the database should be, and what is said of it. */
const hostile: Record<string, [make: string, why: RegExp]> = {
  'a link out of the root': ['busybox ln -sf /old/../../../../etc/passwd /lib/apk/db/installed', /symlink/],
  'a folder that is a link out of it': [
    `busybox rm -r /lib/apk/db; busybox ln -s ${'../'.repeat(9)}etc /lib/apk/db`,
    /^$/,
  ],
  'a pipe': ['busybox mkfifo /lib/apk/db/installed', /wrong_type/],
  'a device': ['busybox mknod /lib/apk/db/installed c 1 5', /wrong_type/],
  'a folder': ['busybox mkdir /lib/apk/db/installed', /wrong_type/],
  'a sparse file of 8 TB': ['busybox truncate -s 8796093022208 /lib/apk/db/installed', /too large/],
  zeros: ['busybox dd if=/dev/zero of=/lib/apk/db/installed bs=1M count=8 2>/dev/null', /^$/],
  'a sparse rpm database': [
    'busybox mkdir -p /var/lib/rpm; busybox truncate -s 8796093022208 /var/lib/rpm/rpmdb.sqlite',
    /malformed/,
  ],
  'a Berkeley DB': ['busybox mkdir -p /var/lib/rpm; busybox touch /var/lib/rpm/Packages', /Berkeley DB/],
  'a magic link': [
    'busybox mount -t proc p /proc; busybox ln -s /proc/1/root/etc/passwd /lib/apk/db/installed',
    /symlink/,
  ],
};
for (const [what, [make, why]] of Object.entries(hostile)) {
  test(`${what} in place of a database is refused at once`, { skip }, async (t) => {
    const setUp = `busybox mknod /dev/zero c 1 5; ${make}`;
    const root = await start(t, makeImage(folder, { dev: null, 'lib/apk/db': null }), { setUp });
    const beganMs = performance.now();
    const answer = await ask(root);
    assert.deepEqual(answer.owners, []);
    assert.match(answer.why, why);
    assert.equal(answer.outcome, answer.why === '' ? 'answered' : 'unread');
    assert.ok(performance.now() - beganMs < 2_000);
  });
}

test('a million entries: the answer is right or says that it is not known, and memory stays bounded', {
  skip,
}, async (t) => {
  const many = `P:many\nV:1\nA:all\nF:opt\n${'R:a\n'.repeat(7_000_000)}\n`;
  const spread = Array.from({ length: 40_000 }, (_, at) => `P:p${at}\nV:1\nA:all\nF:o${at}\n${'R:xyz\n'.repeat(30)}\n`);
  const roots = [
    await start(t, makeImage(folder, { 'lib/apk/db/installed': many + APK['lib/apk/db/installed'] })),
    await start(t, makeImage(folder, { 'lib/apk/db/installed': spread.join('') + APK['lib/apk/db/installed'] })),
  ];
  const before = process.memoryUsage().rss;
  assert.deepEqual(brief(await ask(roots[0]!)), ['answered', 'apk:busybox sha1 sealed']);
  const cut = await ask(roots[1]!);
  assert.deepEqual([cut.outcome, cut.owners], ['unread', []]);
  assert.match(cut.why, /too many/);
  assert.ok(process.memoryUsage().rss - before < 400 * 2 ** 20);
  assert.ok(packages.size().paths <= 2 ** 21);
});

test('a database that is replaced all the time is answered from one state or another, never a mixture', {
  skip,
}, async (t) => {
  const root = await start(t, makeImage(folder, DPKG));
  const list = (name: string) => `for i in 1 2 3 4 5 6 7 8; do
    printf 'Package: ${name}\\nStatus: install ok installed\\nArchitecture: all\\nVersion: 1\\n\\n' > /tmp/s
    mv /tmp/s /var/lib/dpkg/status; cp /var/lib/dpkg/info/busybox.list /var/lib/dpkg/info/${name}.list; done`;
  const names = new Set<string>();
  for (let round = 0; round < 12; round++) {
    root.run('sh', '-c', `(${list('one')}; ${list('two')}) &`);
    for (let asked = 0; asked < 10; asked++) {
      const { owners } = await ask(root);
      assert.ok(owners.length <= 1);
      for (const owner of owners) names.add(owner.package);
    }
  }
  assert.ok([...names].every((name) => ['busybox', 'one', 'two'].includes(name)));
});

test('no descriptor stays open', { skip }, async (t) => {
  const root = await start(t, makeImage(folder, { ...APK, ...DPKG }));
  await ask(root);
  const before = readdirSync('/proc/self/fd').length;
  for (let round = 0; round < 10; round++) {
    await ask(root);
    await ask(root, '/bin/nothing', '1:1:1');
    await packages.ask({ path: BUSYBOX, inode: '', where: { pids: [2 ** 22, 1], mountNs: root.mountNs } });
  }
  assert.equal(readdirSync('/proc/self/fd').length, before);
});

test('the host’s own root', { skip }, async () => {
  const path = join(folder, 'asked');
  writeTree(folder, { asked: 'x' });
  const fd = openSync(path, constants.O_RDONLY);
  const inode = inodeKey(bpf.describe(fd)!);
  closeSync(fd);
  assert.deepEqual(brief(await packages.ask({ path, inode, where: 'host' })), ['answered']);
});
