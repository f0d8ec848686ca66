import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Sighted } from './digest-pipeline.ts';
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

const DASH = sighted('/usr/bin/dash', 1n);
const LOADER = sighted('/usr/lib/ld.so', 2n);
const ENV = sighted('/usr/bin/env', 3n);

function scriptAmong(files: readonly Sighted[], filename: string, interpreter: Sighted): string | undefined {
  const opened = createOpenedByPid();
  for (const file of files) opened.remember(file);
  return opened.script(7, filename, interpreter.state)?.path;
}

test('the file that bears the name given is the script', () => {
  assert.equal(scriptAmong([sighted('/srv/x.sh', 9n), DASH, LOADER], './x.sh', DASH), '/srv/x.sh');
});

test('a script behind a symbolic link is the file before its interpreter', () => {
  const files = [DASH, LOADER, sighted('/lib/npx-cli.js', 9n), ENV, LOADER];
  assert.equal(scriptAmong(files, '/usr/bin/npx', ENV), '/lib/npx-cli.js');
});

test('of nested scripts the one that was named is the script', () => {
  const files = [sighted('/srv/outer', 8n), sighted('/srv/inner', 9n), DASH, LOADER];
  assert.equal(scriptAmong(files, '/srv/outer', DASH), '/srv/outer');
});

test('a script that was never handed over is not confused with the loader of the program before', () => {
  assert.equal(scriptAmong([DASH, LOADER, ENV, LOADER], '/mnt/fuse/x', ENV), undefined);
  assert.equal(scriptAmong([], '/mnt/fuse/x', ENV), undefined);
});

test('files of an earlier process of the same id are left out', () => {
  const later = { ...DASH, atNs: 5_000_000_000n };
  assert.equal(scriptAmong([sighted('/srv/x.sh', 9n), later, LOADER], '/srv/x.sh', DASH), undefined);
});
