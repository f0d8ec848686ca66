import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { closePlaces, load, openPlaces } from './dpkg-load.ts';
import { findOwners } from './dpkg-owners.ts';

const root = mkdtempSync(join(tmpdir(), 'dpkg-owners-'));
after(() => rmSync(root, { recursive: true, force: true }));
const info = join(root, 'var/lib/dpkg/info');
mkdirSync(info, { recursive: true });
const stanza = 'Package: x\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n';
writeFileSync(join(root, 'var/lib/dpkg/status'), stanza);
writeFileSync(join(info, 'x.list'), '/bin/x\n/bin/xy\n');
writeFileSync(join(info, 'x.md5sums'), `${'a'.repeat(32)}  bin/x\n${'b'.repeat(32)}  bin/xy\n`);

test('equal hashes are not equal paths: the lines decide, also for the digest', async () => {
  const places = openPlaces(root);
  assert.ok(!('refused' in places));
  const snapshot = await load(places, 1, undefined);
  assert.ok(typeof snapshot !== 'string');
  const everything = [0, 7].map((offset) => ({ segment: 0, offset }));
  const sums = [0, 40].map((offset) => ({ segment: 1, offset }));
  const lying = { ...snapshot, table: { paths: 4, find: () => [...everything, ...sums] } };
  const ask = (path: string) =>
    findOwners(path, lying, places, []).map((owner) => [owner.comparedPath, owner.digest[0]]);
  assert.deepEqual(ask('/bin/x'), [['/bin/x', 'a']]);
  assert.deepEqual(ask('/bin/xy'), [['/bin/xy', 'b']]);
  assert.deepEqual(ask('/bin'), []);
  assert.deepEqual(ask('/bin/xyz'), []);
  closePlaces(places);
});
