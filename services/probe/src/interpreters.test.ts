import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FileState } from './file-identity.ts';
import { createInterpreters, FAMILIES, familyOfPackage, type Known } from './interpreters.ts';

const FILE: FileState = {
  ...{ dev: 1, generation: 2, ino: 3n, ctime_ns: 4n, mtime_ns: 5n, size: 6n },
  ...{ nlink: 1, writecount: 0, fs_magic: 0, flags: 0 },
};
const BASH: Known = {
  sha256: 'b'.repeat(32),
  digest_strength: 'exact',
  package: 'dpkg:bash:amd64',
  package_match: 'match',
};

function open() {
  const named: [bigint, string | undefined][] = [];
  let nowNs = 100n;
  const interpreters = createInterpreters({
    name: (file, family) => named.push([file.ino, family === undefined ? undefined : FAMILIES[family - 1]]),
    nowNs: () => nowNs++,
  });
  return { interpreters, named };
}

test('packages of the distributions, by name', () => {
  const families = {
    'dpkg:bash:amd64': 'shell',
    'dpkg:dash:amd64': 'shell',
    'dpkg:busybox-static:amd64': 'busybox',
    'dpkg:python3.11-minimal:amd64': 'python',
    'dpkg:perl-base:amd64': 'perl',
    'rpm:python3:x86_64': 'python',
    'rpm:perl-interpreter:x86_64': 'perl',
    'apk:busybox:x86_64': 'busybox',
    'apk:python3:x86_64': 'python',
    'dpkg:nodejs:amd64': 'node',
    'dpkg:ruby3.1:amd64': 'ruby',
    'dpkg:php8.2-cli:amd64': 'php',
    'dpkg:coreutils:amd64': undefined,
    'dpkg:python3-yaml:amd64': undefined,
  };
  for (const [name, family] of Object.entries(families)) assert.equal(familyOfPackage(name, 'match'), family, name);
  assert.equal(familyOfPackage('dpkg:bash:amd64', 'mismatch'), undefined);
});

test('a copy is known by its bytes, wherever it lies, and is named once', () => {
  const { interpreters, named } = open();
  const copy = { ...FILE, ino: 30n };
  const nobodys = { package: '', package_match: '', digest_strength: 'racy' };
  interpreters.learn(copy, { ...BASH, ...nobodys });
  assert.deepEqual(named, [], 'before its original nothing is known of it');
  interpreters.learn(FILE, BASH);
  interpreters.learn(copy, { ...BASH, ...nobodys });
  interpreters.learn(copy, { ...BASH, ...nobodys });
  assert.deepEqual(named, [
    [3n, 'shell'],
    [30n, 'shell'],
  ]);
  assert.equal(interpreters.familyOf(copy), 'shell');
  assert.ok(interpreters.namedAtNs(copy)! > interpreters.namedAtNs(FILE)!);
  assert.equal(interpreters.familyOf({ ...copy, ctime_ns: 9n }), undefined, 'a changed file is another program');
});

test('what is weakly known, or other bytes, makes no interpreter of a package', () => {
  const { interpreters, named } = open();
  interpreters.learn(FILE, { ...BASH, digest_strength: 'racy' });
  interpreters.learn(FILE, { ...BASH, sha256: '', digest_strength: '' });
  interpreters.learn(FILE, { ...BASH, package_match: 'mismatch' });
  assert.deepEqual(named, []);
});

test('what its bytes say holds where no package knows better, and for every copy', () => {
  const { interpreters, named } = open();
  const nobodys = { ...BASH, package: '', package_match: '', digest_strength: 'racy' };
  interpreters.learn(FILE, nobodys);
  interpreters.recognise(BASH.sha256, 'python');
  interpreters.learn({ ...FILE, ino: 30n }, { ...BASH, package: 'dpkg:editor:amd64' });
  assert.deepEqual(named, [], 'an editor may embed one');
  interpreters.learn({ ...FILE, ino: 31n }, { ...BASH, package: 'dpkg:editor:amd64', package_match: 'claimed' });
  interpreters.learn({ ...FILE, ino: 32n }, nobodys);
  interpreters.learn({ ...FILE, ino: 33n }, { ...nobodys, sha256: 'c'.repeat(32) });
  assert.deepEqual(named, [
    [31n, 'python'],
    [32n, 'python'],
  ]);
  interpreters.learn({ ...FILE, ino: 34n }, BASH);
  assert.deepEqual(named.at(-1), [34n, 'shell'], 'its package says what it is');
});

test('the oldest is forgotten by the kernel too', () => {
  const { interpreters, named } = open();
  for (let ino = 1n; ino <= 4_097n; ino++) interpreters.learn({ ...FILE, ino }, BASH);
  assert.deepEqual(named.at(-2), [1n, undefined]);
  assert.deepEqual(named.at(-1), [4_097n, 'shell']);
});
