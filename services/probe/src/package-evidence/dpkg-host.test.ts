import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { test } from 'node:test';
import { openDpkg } from './dpkg.ts';
import { compare } from './evidence.ts';

const skip = existsSync('/var/lib/dpkg/status') ? false : 'this host has no dpkg database';
const loader = ['/lib/x86_64-linux-gnu/libc.so.6', '/lib/aarch64-linux-gnu/libc.so.6'].find((path) => existsSync(path));

/** As the probe sees it: the canonical path, and the MD5 of what lies there. */
async function evidenceOf(path: string) {
  const canonical = realpathSync(path);
  const owners = await db.ownersOf(canonical);
  assert.ok(owners);
  const digest = createHash('md5').update(readFileSync(canonical)).digest('hex');
  return { canonical, ...compare(owners, { md5: digest }, Date.now()) };
}

const db = openDpkg('/');

test('this host: true, sh and the C library are explained by their packages', { skip }, async () => {
  const found = await evidenceOf('/usr/bin/true');
  assert.deepEqual([found.package, found.match], ['coreutils', 'match']);
  assert.match(found.comparedPath, /^(?:\/usr)?\/bin\/true$/);
  const shell = await evidenceOf('/bin/sh');
  assert.equal(shell.match, 'match', `${shell.canonical} of ${shell.package}`);
  if (loader === undefined) return;
  const library = await evidenceOf(loader);
  assert.deepEqual([library.package, library.match], ['libc6', 'match']);
});

test('this host: dash where the kernel names it', {
  skip: skip || (existsSync('/usr/bin/dash') ? false : 'no dash here'),
}, async () => {
  const found = await evidenceOf('/usr/bin/dash');
  assert.deepEqual([found.package, found.match, found.record], ['dash', 'match', 'packaged']);
});

test('this host: the index is small, and a stranger stays one', { skip }, async () => {
  assert.deepEqual(await db.ownersOf('/usr/bin/no-such-program'), []);
  const { packages, paths } = db.size();
  assert.ok(packages > 0 && paths > packages);
});
