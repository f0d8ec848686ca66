import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compare, hasRecord, type Owner } from './evidence.ts';

const ONE = '1'.repeat(32);
const TWO = '2'.repeat(32);
const owner: Owner = {
  package: 'coreutils',
  version: '9.1-1',
  architecture: 'amd64',
  comparedPath: '/bin/true',
  record: 'md5sums',
  md5: ONE,
  recordedAtMs: 1000,
  settled: true,
};
const without: Owner = { ...owner, package: 'other', record: 'none', md5: '', recordedAtMs: 0 };

test('says what was compared with what', () => {
  assert.deepEqual(compare([owner], ONE, 2000), {
    package: 'coreutils',
    version: '9.1-1',
    architecture: 'amd64',
    match: 'match',
    comparedPath: '/bin/true',
    record: 'md5sums',
    algorithm: 'md5',
    recordedDigest: ONE,
  });
  assert.equal(compare([owner], TWO, 2000).match, 'mismatch');
  assert.equal(compare([owner], TWO, 2000).recordedDigest, ONE);
});

test('nobody owns it, or nobody wrote its digest down', () => {
  assert.equal(compare([], ONE, 2000).match, 'not_owned');
  assert.equal(compare([], ONE, 2000).package, '');
  const evidence = compare([without], '', 2000);
  assert.deepEqual([evidence.match, evidence.package, evidence.algorithm], ['no_record', 'other', '']);
  assert.equal(hasRecord([without]), false);
  assert.equal(hasRecord([without, owner]), true);
});

test('two owners of one file: either record explains it', () => {
  const second = { ...owner, package: 'busybox', md5: TWO };
  assert.equal(compare([owner, second], TWO, 2000).package, 'busybox');
  assert.equal(compare([owner, second], TWO, 2000).match, 'match');
  assert.equal(compare([owner, second], '3'.repeat(32), 2000).match, 'mismatch');
});

test('a record of another moment contradicts nothing', () => {
  assert.equal(compare([owner], TWO, 999).match, 'no_record', 'ran before the upgrade');
  assert.equal(compare([owner], ONE, 999).match, 'match');
  assert.equal(compare([{ ...owner, settled: false }], TWO, 2000).match, 'no_record', 'upgrade under way');
  assert.equal(compare([{ ...owner, settled: false }], ONE, 2000).match, 'match');
});

test('a caller that forgot the digest is a bug', () => {
  assert.throws(() => compare([owner], '', 2000), TypeError);
  assert.throws(() => compare([owner], ONE.slice(1), 2000), TypeError);
});
