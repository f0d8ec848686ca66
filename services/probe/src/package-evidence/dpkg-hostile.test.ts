import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { openDpkg } from './dpkg.ts';

const folder = mkdtempSync(join(tmpdir(), 'dpkg-hostile-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const STATUS = 'Package: x\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n';

function makeRoot(): { root: string; dpkg: string } {
  const root = mkdtempSync(join(folder, 'root-'));
  const dpkg = join(root, 'var/lib/dpkg');
  mkdirSync(join(dpkg, 'info'), { recursive: true });
  writeFileSync(join(dpkg, 'status'), STATUS);
  writeFileSync(join(dpkg, 'info/x.list'), '/bin/x\n');
  writeFileSync(join(dpkg, 'info/x.md5sums'), `${'a'.repeat(32)}  bin/x\n`);
  return { root, dpkg };
}

const outside = join(folder, 'outside');
mkdirSync(outside);
writeFileSync(join(outside, 'x.list'), '/secret\n');
writeFileSync(join(outside, 'status'), STATUS);

test('no link leads out of the root, wherever it sits', async () => {
  const swapFor = (path: string, target: string) => {
    renameSync(path, `${path}.moved`);
    symlinkSync(target, path);
  };
  const spots = [
    (dpkg: string) => swapFor(join(dpkg, 'status'), join(outside, 'status')),
    (dpkg: string) => swapFor(join(dpkg, 'info'), outside),
    (dpkg: string) => swapFor(dpkg, 'dpkg.moved'),
  ];
  for (const spot of spots) {
    const { root, dpkg } = makeRoot();
    spot(dpkg);
    const db = openDpkg(root);
    assert.equal(await db.ownersOf('/bin/x'), undefined);
    assert.equal(await db.ownersOf('/secret'), undefined);
    assert.match(db.faults()[0] ?? '', /: symlink$/);
  }
  const { root, dpkg } = makeRoot();
  unlinkSync(join(dpkg, 'info/x.list'));
  symlinkSync(join(outside, 'x.list'), join(dpkg, 'info/x.list'));
  const db = openDpkg(root);
  assert.deepEqual(await db.ownersOf('/secret'), []);
  assert.deepEqual(db.faults(), ['info/x.list: symlink']);
});

test('a pipe or a folder in a file’s place is refused without waiting', async () => {
  const { root, dpkg } = makeRoot();
  unlinkSync(join(dpkg, 'info/x.list'));
  execFileSync('mkfifo', [join(dpkg, 'info/x.list')]);
  mkdirSync(join(dpkg, 'diversions'));
  const db = openDpkg(root);
  assert.deepEqual(await db.ownersOf('/bin/x'), []);
  assert.deepEqual(db.faults(), ['info/x.list: wrong_type', 'diversions: wrong_type']);
  unlinkSync(join(dpkg, 'status'));
  execFileSync('mkfifo', [join(dpkg, 'status')]);
  assert.equal(await db.ownersOf('/bin/x'), undefined);
  assert.deepEqual(db.faults(), ['status: wrong_type']);
});

test('files beyond every real size are left out, the rest is used', async () => {
  const { root, dpkg } = makeRoot();
  truncateSync(join(dpkg, 'info/x.md5sums'), 2 ** 34);
  const db = openDpkg(root);
  assert.equal((await db.ownersOf('/bin/x'))?.[0]?.record, 'none');
  assert.deepEqual(db.faults(), ['info/x.md5sums: too_large']);
  truncateSync(join(dpkg, 'status'), 2 ** 34);
  assert.equal(await db.ownersOf('/bin/x'), undefined);
});

test('package names cannot name other files', async () => {
  const { root, dpkg } = makeRoot();
  writeFileSync(join(root, 'var/lib/evil.list'), '/bin/evil\n');
  const evil = ['../../evil', '..', '.hidden', 'a/b', 'sp ace', '', 'n'.repeat(500)];
  writeFileSync(join(dpkg, 'status'), STATUS + evil.map((name) => STATUS.replace(' x', ` ${name}`)).join(''));
  const db = openDpkg(root);
  assert.deepEqual(await db.ownersOf('/bin/evil'), []);
  assert.equal((await db.ownersOf('/bin/x'))?.length, 1);
  assert.deepEqual(db.faults(), [`status: ${evil.length} unusable stanzas`]);
});

test('one path in every list and thousands of lines of it: answers stay few', async () => {
  const { root, dpkg } = makeRoot();
  const names = Array.from({ length: 100 }, (_, i) => `forged${i}`);
  writeFileSync(join(dpkg, 'status'), names.map((name) => STATUS.replace(' x', ` ${name}`)).join(''));
  for (const name of names) writeFileSync(join(dpkg, `info/${name}.list`), '/bin/x\n'.repeat(1000));
  const owners = await openDpkg(root).ownersOf('/bin/x');
  assert.ok(owners && owners.length >= 1 && owners.length <= 16);
});

test('paths no list can hold', async () => {
  const db = openDpkg(makeRoot().root);
  for (const path of ['', 'bin/x', '/bin/x\n', `/${'x'.repeat(5000)}`, '/bin/x (deleted)', '/bin/x\0']) {
    assert.deepEqual(await db.ownersOf(path), [], JSON.stringify(path));
  }
});

test('any bytes in any file: an answer, no error', async () => {
  const line = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    fc.constantFrom(
      'Package: x',
      'Status: install ok installed',
      'Version: 1',
      'Architecture: amd64',
      'Conffiles:',
      '/bin/x',
      ` /bin/x ${'b'.repeat(32)}`,
      `${'c'.repeat(32)}  bin/x`,
      '/bin/y',
      ':',
      'x',
      '',
      '/',
    ),
  );
  const text = fc.array(line, { maxLength: 25 }).map((lines) => lines.join('\n'));
  const file = fc.constantFrom(
    'status',
    'diversions',
    'updates/0000',
    'updates/tmp.i',
    'info/x.list',
    'info/x.md5sums',
  );
  await fc.assert(
    fc.asyncProperty(fc.dictionary(file, text, { maxKeys: 6 }), async (files) => {
      const { root, dpkg } = makeRoot();
      mkdirSync(join(dpkg, 'updates'));
      for (const [name, content] of Object.entries(files)) writeFileSync(join(dpkg, name), content, 'latin1');
      const db = openDpkg(root);
      for (const path of ['/bin/x', '/bin/y', '/']) {
        for (const owner of (await db.ownersOf(path)) ?? []) {
          assert.match(owner.digest, /^(?:[0-9a-f]{32})?$/);
          assert.equal(owner.package, 'x');
        }
      }
    }),
    { numRuns: 150 },
  );
});
