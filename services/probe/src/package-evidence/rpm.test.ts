import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { PackageRecord } from './package-record.ts';
import { installByRpm, rpmHeader, whyNoRpm, writeRpmDatabase } from './rpm.fixture.ts';
import { openRpm } from './rpm.ts';
import { readRpmHeader } from './rpm-header.ts';

const folder = mkdtempSync(join(tmpdir(), 'rpm-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const SHA256 = 'a'.repeat(64);

function packagesIn(path: string): PackageRecord[] {
  const bytes = readFileSync(path);
  const source = openRpm((offset, length) => bytes.subarray(offset, offset + length), Buffer.alloc(0));
  return [...source.packages()].map(({ at, found }) => {
    assert.deepEqual(source.packageAt(at), found);
    return found!;
  });
}

for (const algorithm of ['sha256', 'md5'] as const) {
  test(`a package that rpm itself installed, its files recorded by ${algorithm}`, { skip: whyNoRpm() ?? false }, () => {
    const root = mkdtempSync(join(folder, 'root-'));
    installByRpm(folder, root, '/bin/true', { md5: algorithm === 'md5' });
    const [demo, ...others] = packagesIn(join(root, 'var/lib/rpm/rpmdb.sqlite'));
    assert.deepEqual(others, []);
    assert.deepEqual([demo!.name, demo!.version, demo!.files.length], ['demo', '2:1.5-3', 2]);
    const digest = (path: string) => createHash(algorithm).update(readFileSync(path)).digest('hex');
    const file = (path: string) => demo!.files.find((one) => one.path === path);
    assert.deepEqual(file('/usr/bin/demo'), {
      ...{ path: '/usr/bin/demo', record: 'packaged', algorithm, digest: digest('/bin/true') },
    });
    assert.deepEqual(file('/etc/demo.conf'), {
      ...{ path: '/etc/demo.conf', record: 'conffile', algorithm, digest: digest(join(root, 'etc/demo.conf')) },
    });
    assert.equal(file('/usr/bin/demolink'), undefined, 'a link has no content');
    assert.equal(file('/var/log/demo.log'), undefined, 'a ghost is not part of the package');
  });
}

test('only regular files that are there are owned', () => {
  const record = readRpmHeader(
    rpmHeader(
      'x',
      [
        { path: '/usr/bin/x', digest: SHA256 },
        { path: '/usr/bin', digest: '', mode: 0o040755 },
        { path: '/usr/bin/replaced', digest: SHA256, state: 1 },
        { path: '/usr/bin/ghost', digest: SHA256, flags: 1 << 6 },
        { path: '/usr/bin/unsummed', digest: '' },
      ],
      { algorithm: 8 },
    ),
  );
  assert.deepEqual(
    record?.files.map(({ path, algorithm }) => [path, algorithm]),
    [
      ['/usr/bin/x', 'sha256'],
      ['/usr/bin/unsummed', ''],
    ],
  );
});

test('algorithms: MD5 where none is named, SHA-1, and one that nobody here computes', () => {
  const algorithmOf = (length: number, algorithm?: number) => {
    const options = algorithm === undefined ? {} : { algorithm };
    return readRpmHeader(rpmHeader('x', [{ path: '/x', digest: 'a'.repeat(length) }], options))?.files[0]?.algorithm;
  };
  assert.equal(algorithmOf(32), 'md5');
  assert.equal(algorithmOf(40, 2), 'sha1');
  assert.equal(algorithmOf(128, 10), '');
  assert.equal(algorithmOf(40, 8), '', 'the length is not that of the algorithm');
});

test('keys that were imported are packages without files', () => {
  const key = readRpmHeader(rpmHeader('gpg-pubkey', [], { arch: '(none)' }));
  assert.deepEqual(key?.files, []);
});

test('many packages, found again by their place', () => {
  const root = mkdtempSync(join(folder, 'root-'));
  const headers = Array.from({ length: 300 }, (_, index) => {
    const files = Array.from({ length: index }, (_, file) => ({ path: `/opt/p${index}/f${file}`, digest: SHA256 }));
    return rpmHeader(`p${index}`, files, { algorithm: 8 });
  });
  const found = packagesIn(writeRpmDatabase(root, headers));
  assert.deepEqual(
    found.map(({ name, files }) => [name, files.length]),
    headers.map((_, index) => [`p${index}`, index]),
  );
});

test('a header that is not exactly one is none', () => {
  const good = rpmHeader('x', [{ path: '/usr/bin/x', digest: SHA256 }], { algorithm: 8 });
  for (let length = 0; length < good.length; length++) assert.equal(readRpmHeader(good.subarray(0, length)), undefined);
  assert.equal(readRpmHeader(Buffer.concat([good, Buffer.of(0)])), undefined);
  assert.equal(readRpmHeader(rpmHeader('x', [{ path: 'usr/x', digest: SHA256 }])), undefined, 'a relative path');
  assert.equal(readRpmHeader(rpmHeader('x y', [])), undefined, 'a name that is no word');
});
