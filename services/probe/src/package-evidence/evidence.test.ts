import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compare, type Owner } from './evidence.ts';

const ONE = '1'.repeat(32);
const TWO = '2'.repeat(32);
const owner: Owner = {
  manager: 'dpkg',
  package: 'coreutils',
  version: '9.1-1',
  architecture: 'amd64',
  comparedPath: '/bin/true',
  record: 'packaged',
  algorithm: 'md5',
  digest: ONE,
  recordedAtMs: 1000,
  settled: true,
  sealed: true,
};
const without: Owner = { ...owner, package: 'other', record: 'none', algorithm: '', digest: '', recordedAtMs: 0 };
const md5 = (digest: string) => ({ md5: digest, sha256: 'f'.repeat(64) });

test('says what was compared with what', () => {
  assert.deepEqual(compare([owner], md5(ONE), 2000), {
    manager: 'dpkg',
    package: 'coreutils',
    version: '9.1-1',
    architecture: 'amd64',
    match: 'match',
    comparedPath: '/bin/true',
    record: 'packaged',
    algorithm: 'md5',
    sealed: true,
    recordedDigest: ONE,
  });
  assert.equal(compare([owner], md5(TWO), 2000).match, 'mismatch');
  assert.equal(compare([owner], md5(TWO), 2000).recordedDigest, ONE);
});

test('nobody owns it, or nobody wrote its digest down', () => {
  assert.equal(compare([], md5(ONE), 2000).match, 'not_owned');
  assert.equal(compare([], md5(ONE), 2000).package, '');
  const evidence = compare([without], {}, 2000);
  assert.deepEqual([evidence.match, evidence.package, evidence.algorithm], ['no_record', 'other', '']);
});

test('each record is compared in its own algorithm', () => {
  const [sha1, sha256] = ['a'.repeat(40), 'b'.repeat(64)];
  const byApk: Owner = { ...owner, manager: 'apk', algorithm: 'sha1', digest: sha1 };
  const byRpm: Owner = { ...owner, manager: 'rpm', algorithm: 'sha256', digest: sha256 };
  assert.equal(compare([byApk], { md5: ONE, sha1 }, 2000).algorithm, 'sha1');
  assert.equal(compare([byRpm, byApk], { sha1, sha256: TWO }, 2000).match, 'match');
  assert.equal(compare([byRpm], { md5: ONE, sha1, sha256 }, 2000).manager, 'rpm');
  assert.equal(compare([byRpm], { md5: ONE, sha1, sha256: sha256.replace('b', 'c') }, 2000).match, 'mismatch');
});

test('a digest that nobody computed contradicts nothing', () => {
  const evidence = compare([owner], { sha256: 'f'.repeat(64) }, 2000);
  assert.deepEqual([evidence.match, evidence.package], ['no_record', 'coreutils']);
});

test('two owners of one file: either record explains it', () => {
  const second = { ...owner, package: 'busybox', digest: TWO };
  assert.equal(compare([owner, second], md5(TWO), 2000).package, 'busybox');
  assert.equal(compare([owner, second], md5(TWO), 2000).match, 'match');
  assert.equal(compare([owner, second], md5('3'.repeat(32)), 2000).match, 'mismatch');
});

test('a record of another moment contradicts nothing', () => {
  assert.equal(compare([owner], md5(TWO), 999).match, 'no_record', 'ran before the upgrade');
  assert.equal(compare([owner], md5(ONE), 999).match, 'match');
  assert.equal(compare([{ ...owner, settled: false }], md5(TWO), 2000).match, 'no_record', 'upgrade under way');
  assert.equal(compare([{ ...owner, settled: false }], md5(ONE), 2000).match, 'match');
});
