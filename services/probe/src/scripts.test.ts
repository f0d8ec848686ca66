import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Sighted } from './descriptors.ts';
import type { FileState } from './file-identity.ts';
import { createOpenedByPid } from './scripts.ts';

function state(ino: bigint): FileState {
  return {
    dev: 1,
    generation: 0,
    ino,
    ctime_ns: 0n,
    mtime_ns: 0n,
    size: 1n,
    nlink: 1,
    writecount: 0,
    fs_magic: 0,
    flags: 0,
  };
}

function sighted(path: string, ino: bigint, atNs = 0n): Sighted {
  return { pid: 7, path, state: state(ino), atNs };
}

const EXEC_NS = 1_000n;

function opened(files: readonly Sighted[]): (filename: string, atNs?: bigint) => string | undefined {
  const byPid = createOpenedByPid();
  for (const file of files) byPid.remember(file);
  return (filename, atNs = EXEC_NS) => byPid.script(7, filename, atNs)?.path;
}

test('the file that bears the name given is the script', () => {
  assert.equal(opened([sighted('/srv/x.sh', 9n), sighted('/srv/later.sh', 8n)])('./x.sh'), '/srv/x.sh');
});

test('a script behind a symbolic link is the file opened last', () => {
  assert.equal(opened([sighted('/srv/failed', 8n), sighted('/lib/npx-cli.js', 9n)])('/usr/bin/npx'), '/lib/npx-cli.js');
});

test('of nested scripts the one that was named is the script', () => {
  assert.equal(opened([sighted('/srv/outer', 8n), sighted('/srv/inner', 9n)])('/srv/outer'), '/srv/outer');
});

test('a script that was never handed over is not confused with the one its process ran before', () => {
  const script = opened([sighted('/srv/first.sh', 9n)]);
  assert.equal(script('/srv/first.sh'), '/srv/first.sh');
  assert.equal(script('/mnt/fuse/second.sh'), undefined);
  assert.equal(opened([])('/mnt/fuse/x'), undefined);
});

test('of two scripts one process ran in turn each is found, in whatever order they are asked for', () => {
  const script = opened([sighted('/srv/a.sh', 8n), sighted('/srv/b.sh', 9n)]);
  assert.equal(script('/srv/a.sh'), '/srv/a.sh');
  assert.equal(script('/srv/link-to-b'), '/srv/b.sh');
});

test('files of an earlier process of the same id are left out', () => {
  assert.equal(opened([sighted('/srv/x.sh', 9n)])('/srv/x.sh', 5_000_000_000n), undefined);
});
