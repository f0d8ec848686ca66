import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { takeHome } from './home.ts';

const needsRoot = { skip: process.getuid?.() === 0 ? false : 'mounts need root' };
const NOBODY = { uid: 65_534, gid: 65_534 };

const aliasOf = (path: string) => `/run/bintrail/${createHash('sha256').update(path).digest('hex').slice(0, 16)}`;
const mountsOf = (alias: string) =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.split(' ')[4] === alias).length;

/** A home that `nobody` cannot reach: temporary folders are their owner's alone. */
function closedHome(t: TestContext): { home: string; alias: string } {
  const folder = mkdtempSync(join(tmpdir(), 'bintrail-home-'));
  const home = join(folder, 'home');
  t.after(() => {
    while (mountsOf(aliasOf(home)) > 0) spawnSync('umount', ['--lazy', aliasOf(home)]);
    spawnSync('rmdir', [aliasOf(home)]);
    rmSync(folder, { recursive: true });
  });
  return { home, alias: aliasOf(home) };
}

test('an ordered end leaves no mount and no folder beside the data', needsRoot, (t) => {
  const { home, alias } = closedHome(t);
  const taken = takeHome(home, '/', NOBODY);
  assert.equal(taken.reachablePath, alias);
  writeFileSync(join(alias, 'data'), 'kept');
  taken.release();
  assert.equal(mountsOf(alias), 0);
  assert.ok(!existsSync(alias));
  assert.equal(readFileSync(join(home, 'data'), 'utf8'), 'kept');
});

test('a mount of a folder that was removed since is taken away, not covered', needsRoot, (t) => {
  const { home, alias } = closedHome(t);
  takeHome(home, '/', NOBODY);
  renameSync(home, `${home}-before`);
  mkdirSync(home);
  const taken = takeHome(home, '/', NOBODY);
  assert.equal(mountsOf(alias), 1);
  writeFileSync(join(alias, 'data'), 'new');
  assert.equal(readFileSync(join(home, 'data'), 'utf8'), 'new');
  taken.release();
  assert.ok(!existsSync(alias));
});

test('a folder that cannot be made is named, and nothing waits for it', () => {
  // In a process of its own: a recursive mkdir in procfs never returns.
  const script = `
    import { takeHome } from ${JSON.stringify(new URL('./home.ts', import.meta.url).href)};
    try { takeHome(process.argv[1], '/', undefined) } catch (error) { console.log(error.name, error.message) }`;
  for (const path of ['/proc/x', '/proc/x/y', '/proc/self/fd/x', '/dev/null', '/dev/null/x']) {
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script, path], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    assert.match(stdout, new RegExp(`^${SetupError.name} .*${path}`), path);
  }
});

test('folders on the way are made, and one that is there is taken as it is', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bintrail-home-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const _ of [1, 2]) takeHome(join(folder, 'a/b/c'), '/', undefined).release();
  assert.ok(existsSync(join(folder, 'a/b/c/lock.db')));
});
