import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { openDpkg } from './dpkg.ts';
import { compare } from './evidence.ts';

const folder = mkdtempSync(join(tmpdir(), 'dpkg-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const md5 = (text: string) => createHash('md5').update(text).digest('hex');

type Package = { name: string; files: string[]; state?: string; fields?: string; sums?: string };

const stanza = ({ name, state = 'install ok installed', fields = '' }: Package) =>
  `Package: ${name}\nStatus: ${state}\nArchitecture: amd64\nVersion: 1.0\n${fields}Description: x\n y\n\n`;

/** A root holding these packages; every file's recorded digest is the md5 of its recorded path. */
function makeRoot(packages: Package[], more: Record<string, string> = {}): string {
  const root = mkdtempSync(join(folder, 'root-'));
  const put = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text, 'latin1');
  };
  put('var/lib/dpkg/status', packages.map(stanza).join(''));
  mkdirSync(join(root, 'var/lib/dpkg/info'));
  mkdirSync(join(root, 'var/lib/dpkg/updates'));
  for (const { name, files, sums } of packages) {
    put(`var/lib/dpkg/info/${name}.list`, `/.\n${files.map((file) => `${file}\n`).join('')}`);
    const lines = files.map((file) => `${md5(file)}  ${file.slice(1)}\n`).join('');
    if (sums !== '') put(`var/lib/dpkg/info/${name}.md5sums`, sums ?? lines);
  }
  for (const [path, text] of Object.entries(more)) put(path, text);
  return root;
}

const replace = (root: string, path: string, text: string) => {
  writeFileSync(join(root, `${path}.new`), text, 'latin1');
  renameSync(join(root, `${path}.new`), join(root, path));
};

const brief = async (root: string, path: string) =>
  (await openDpkg(root).ownersOf(path))?.map((owner) => [owner.package, owner.comparedPath, owner.digest]);

test('merged /usr, in both directions', async () => {
  const root = makeRoot([{ name: 'coreutils', files: ['/bin/true', '/usr/bin/env', '/lib64/ld.so', '/lib/l.so'] }]);
  for (const name of ['bin', 'sbin']) symlinkSync(`usr/${name}`, join(root, name));
  symlinkSync('/usr/lib64', join(root, 'lib64'));
  symlinkSync('../../usr/./lib', join(root, 'lib'));
  for (const [name, target] of [
    ['self', '.'],
    ['up', '..'],
    ['loop', 'loop'],
  ])
    symlinkSync(target ?? '', join(root, name ?? ''));
  assert.deepEqual(await brief(root, '/usr/bin/true'), [['coreutils', '/bin/true', md5('/bin/true')]]);
  assert.deepEqual(await brief(root, '/bin/env'), [['coreutils', '/usr/bin/env', md5('/usr/bin/env')]]);
  assert.deepEqual(await brief(root, '/usr/lib64/ld.so'), [['coreutils', '/lib64/ld.so', md5('/lib64/ld.so')]]);
  assert.deepEqual(await brief(root, '/usr/lib/l.so'), [['coreutils', '/lib/l.so', md5('/lib/l.so')]]);
  assert.deepEqual(await brief(root, '/usr/sbin/true'), []);
  assert.deepEqual(await brief(root, '/usr/local/bin/true'), [], 'the same name elsewhere is nobody’s');
});

test('without the link /bin/true and /usr/bin/true are two files', async () => {
  const root = makeRoot([{ name: 'coreutils', files: ['/bin/true'] }]);
  assert.deepEqual(await brief(root, '/usr/bin/true'), []);
  const db = openDpkg(root);
  assert.deepEqual(await db.ownersOf('/usr/bin/true'), []);
  symlinkSync('usr/bin', join(root, 'bin'));
  assert.equal((await db.ownersOf('/usr/bin/true'))?.length, 1, 'a root that was merged meanwhile');
});

test('a diverted file lives under its new name, and the diverter’s under the old one', async () => {
  const root = makeRoot(
    [
      { name: 'perf', files: ['/usr/bin/perf'] },
      { name: 'base', files: ['/usr/bin/perf', '/usr/bin/local'] },
    ],
    { 'var/lib/dpkg/diversions': '/usr/bin/perf\n/usr/bin/perf.real\nperf\n/usr/bin/local\n/usr/bin/local.orig\n:\n' },
  );
  assert.deepEqual(await brief(root, '/usr/bin/perf'), [['perf', '/usr/bin/perf', md5('/usr/bin/perf')]]);
  assert.deepEqual(await brief(root, '/usr/bin/perf.real'), [['base', '/usr/bin/perf', md5('/usr/bin/perf')]]);
  assert.deepEqual(await brief(root, '/usr/bin/local'), [], 'the administrator’s own file');
  assert.deepEqual(await brief(root, '/usr/bin/local.orig'), [['base', '/usr/bin/local', md5('/usr/bin/local')]]);
});

test('conffiles come from the status file, obsolete ones too', async () => {
  const [hook, old] = [md5('hook'), md5('old')];
  const root = makeRoot([
    {
      name: 'cron',
      files: ['/etc/cron.daily/a b', '/etc/cron.daily/old', '/etc/cron.daily/new'],
      fields: `Conffiles:\n /etc/cron.daily/a b ${hook}\n /etc/cron.daily/old ${old} obsolete\n /etc/cron.daily/new newconffile\n`,
      sums: '',
    },
  ]);
  const records = await Promise.all(
    ['a b', 'old', 'new'].map(async (name) => (await openDpkg(root).ownersOf(`/etc/cron.daily/${name}`))?.[0]),
  );
  assert.deepEqual(
    records.map((owner) => [owner?.record, owner?.digest]),
    [
      ['conffile', hook],
      ['obsolete_conffile', old],
      ['none', ''],
    ],
  );
});

test('only packages whose files are there own them', async () => {
  const states = ['installed', 'unpacked', 'half-configured', 'triggers-pending', 'triggers-awaited', 'half-installed'];
  const gone = ['config-files', 'not-installed', 'no-such-state'];
  const root = makeRoot(
    [...states, ...gone].map((state) => ({ name: state, files: [`/opt/${state}`], state: `install ok ${state}` })),
  );
  const db = openDpkg(root);
  for (const state of states) {
    const owner = (await db.ownersOf(`/opt/${state}`))?.[0];
    assert.equal(owner?.package, state);
    assert.equal(owner.settled, state !== 'half-installed');
  }
  for (const state of gone) assert.deepEqual(await db.ownersOf(`/opt/${state}`), [], state);
});

test('architectures of one package, and its name from before multi-arch', async () => {
  const same = 'Multi-Arch: same\n';
  const root = makeRoot([{ name: 'libc6', files: ['/lib/libc.so.6'], fields: same }]);
  const info = join(root, 'var/lib/dpkg/info');
  assert.equal((await brief(root, '/lib/libc.so.6'))?.length, 1, 'plain name');
  for (const suffix of ['list', 'md5sums']) {
    renameSync(join(info, `libc6.${suffix}`), join(info, `libc6:amd64.${suffix}`));
  }
  const foreign =
    'Package: libc6\nStatus: install ok installed\nArchitecture: i386\nVersion: 1.0\nMulti-Arch: same\n\n';
  writeFileSync(join(root, 'var/lib/dpkg/status'), foreign, { flag: 'a' });
  writeFileSync(join(info, 'libc6:i386.list'), '/lib/libc.so.6\n/lib32/libc.so.6\n');
  writeFileSync(join(info, 'libc6:i386.md5sums'), `${md5('i386')}  lib32/libc.so.6\n`);
  const owners = await openDpkg(root).ownersOf('/lib/libc.so.6');
  assert.deepEqual(
    owners?.map((owner) => [owner.architecture, owner.digest !== '']),
    [
      ['amd64', true],
      ['i386', false],
    ],
  );
  assert.deepEqual(await brief(root, '/lib32/libc.so.6'), [['libc6', '/lib32/libc.so.6', md5('i386')]]);
});

test('spellings of a checksum list', async () => {
  const files = ['/a', '/b', '/c', '/d', '/e', '/caf\xc3\xa9'];
  const [a, b, c, , , f] = files.map(md5);
  const sums = `${a}  ./a\n${b} *b\n${c?.toUpperCase()}  /c\nnot a digest at all, really not..  d\n${f}  caf\xc3\xa9\n${b}  e/f`;
  const root = makeRoot([{ name: 'x', files, sums }]);
  const owners = await Promise.all(files.map(async (file) => (await brief(root, file))?.[0]?.[2]));
  assert.deepEqual(owners, [a, b, c, '', '', f]);
});

test('a database that changes is read again, and only ever as a whole', async () => {
  const root = makeRoot([
    { name: 'one', files: ['/usr/bin/one'] },
    { name: 'two', files: ['/usr/bin/two'] },
  ]);
  const db = openDpkg(root);
  const info = 'var/lib/dpkg/info';
  assert.equal((await db.ownersOf('/usr/bin/one'))?.[0]?.digest, md5('/usr/bin/one'));
  // dpkg's order in an upgrade: journal, files, list and checksums, journal, status
  const working = stanza({ name: 'one', files: [], state: 'install reinstreq half-installed' });
  replace(root, 'var/lib/dpkg/updates/0000', working);
  assert.equal((await db.ownersOf('/usr/bin/one'))?.[0]?.settled, false);
  replace(root, `${info}/one.list`, '/usr/bin/one\n/usr/bin/uno\n');
  replace(root, `${info}/one.md5sums`, `${md5('new')}  usr/bin/one\n`);
  assert.equal((await db.ownersOf('/usr/bin/uno'))?.[0]?.package, 'one');
  replace(root, 'var/lib/dpkg/status', stanza({ name: 'one', files: [] }).replace('1.0', '2.0'));
  unlinkSync(join(root, 'var/lib/dpkg/updates/0000'));
  const [owner] = (await db.ownersOf('/usr/bin/one')) ?? [];
  assert.deepEqual([owner?.version, owner?.settled, owner?.digest], ['2.0', true, md5('new')]);
  assert.deepEqual(await db.ownersOf('/usr/bin/two'), [], 'package two was removed');
  rmSync(join(root, 'var'), { recursive: true });
  assert.equal(await db.ownersOf('/usr/bin/one'), undefined);
});

test('a database rewritten many times within one tick of the clock is never answered from the rewrite before', async () => {
  const root = makeRoot([{ name: 'one', files: ['/opt/0000'] }]);
  const db = openDpkg(root);
  for (let round = 1; round < 200; round++) {
    const path = `/opt/${String(round).padStart(4, '0')}`;
    replace(root, 'var/lib/dpkg/info/one.list', `/.\n${path}\n`);
    assert.equal((await db.ownersOf(path))?.length, 1, path);
  }
});

test('a database that changes during a load is not answered from before', async () => {
  const root = makeRoot([{ name: 'one', files: ['/opt/old'] }]);
  const db = openDpkg(root);
  const first = db.ownersOf('/opt/old');
  replace(root, 'var/lib/dpkg/info/one.list', '/.\n/opt/newer\n');
  assert.equal((await db.ownersOf('/opt/newer'))?.length, 1);
  await first;
});

test('questions asked at once share one load and get their own answers', async () => {
  const files = Array.from({ length: 200 }, (_, i) => `/opt/f${i}`);
  const db = openDpkg(makeRoot([{ name: 'many', files }]));
  const owners = await Promise.all(files.map((file) => db.ownersOf(file)));
  assert.deepEqual(
    owners.map((found) => found?.[0]?.comparedPath),
    files,
  );
});

test('content and path decide together', async () => {
  const db = openDpkg(makeRoot([{ name: 'x', files: ['/usr/bin/x'] }]));
  const at = async (path: string, digest: string) =>
    compare((await db.ownersOf(path)) ?? [], { md5: digest }, Date.now() + 1000).match;
  assert.equal(await at('/usr/bin/x', md5('/usr/bin/x')), 'match');
  assert.equal(await at('/usr/bin/x', md5('trojan')), 'mismatch');
  assert.equal(await at('/tmp/x', md5('/usr/bin/x')), 'not_owned');
});

const paths = fc
  .array(fc.constantFrom('a', 'b', 'bin', 'usr', 'x y', '\xff', 'a.b'), { minLength: 1, maxLength: 4 })
  .map((parts) => `/${parts.join('/')}`);

test('the index answers as a plain map of all lists would', async () => {
  const databases = fc.array(fc.uniqueArray(paths, { maxLength: 12 }), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(databases, fc.array(paths, { maxLength: 10 }), async (lists, strangers) => {
      const packages = lists.map((files, i) => ({ name: `p${i}`, files: [...files].sort() }));
      const db = openDpkg(makeRoot(packages));
      for (const path of [...lists.flat(), ...strangers]) {
        // A listed path with another one below it, right after it, is a folder.
        const isFolder = (files: string[]) => files[files.indexOf(path) + 1]?.startsWith(`${path}/`) === true;
        const expected = packages
          .filter(({ files }) => files.includes(path) && !isFolder(files))
          .map(({ name }) => name);
        const owners = (await db.ownersOf(path)) ?? [];
        assert.deepEqual(owners.map((owner) => owner.package).sort(), expected.sort(), path);
        assert.ok(owners.every((owner) => owner.digest === md5(path) && owner.comparedPath === path));
      }
    }),
    { numRuns: 60 },
  );
});

test('no descriptor stays open', async () => {
  const db = openDpkg(makeRoot([{ name: 'x', files: ['/usr/bin/x'] }]));
  await db.ownersOf('/usr/bin/x');
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 20; i++) await db.ownersOf(i % 2 ? '/usr/bin/x' : '/nothing');
  for (let i = 0; i < 20; i++) await openDpkg(join(folder, 'absent')).ownersOf('/x');
  assert.equal(readdirSync('/proc/self/fd').length, before);
});
