/**
 * Programs run through an overlay: which inode they are, and that their digest is had. On Debian overlay is a module, so
 * its types are found by size; and before 6.5 only the overlay's own mark sees what is executed there.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { appendFileSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { run, type Watched, watchKernel, whyNotHere } from './probe-kit.ts';

const folder = mkdtempSync(join(tmpdir(), 'bintrail-overlay-'));
const at = (...names: string[]) => join(folder, ...names);
const digestOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
const skip = whyNotHere() ?? false;
let watched: Watched;

before(async () => {
  if (skip) return;
  for (const name of ['lower', 'upper', 'work', 'merged']) mkdirSync(at(name));
  for (const name of ['lower/below', 'lower/changed']) copyFileSync('/bin/true', at(name));
  const options = `lowerdir=${at('lower')},upperdir=${at('upper')},workdir=${at('work')}`;
  await run('mount', ['-t', 'overlay', 'overlay', '-o', options, at('merged')]);
  copyFileSync('/bin/true', at('merged', 'above'));
  // A copy-up: the file is another from here on.
  appendFileSync(at('merged', 'changed'), 'changed');
  await delay(50);
  watched = await watchKernel();
});

after(async () => {
  await (watched as Watched | undefined)?.stop();
  if (!skip) await run('umount', ['--lazy', at('merged')]);
  rmSync(folder, { recursive: true, force: true });
});

for (const [name, layer, flags] of [
  ['below', 'lower', ['overlay']],
  ['above', 'upper', ['upper_layer', 'overlay']],
  ['changed', 'upper', ['upper_layer', 'overlay']],
] as const) {
  test(`a program in the ${layer} layer (${name}) is the file that lies there, with its digest`, {
    skip,
    timeout: 60_000,
  }, async () => {
    await run(at('merged', name), ['through']);
    await run(at(layer, name), ['directly']);
    const through = await watched.row('exec', ({ path }) => path === at('merged', name));
    const directly = await watched.row('exec', ({ path }) => path === at(layer, name));
    assert.deepEqual(through.flagNames, flags);
    assert.equal(through.sha256, digestOf(at('merged', name)));
    assert.ok(['exact', 'alive'].includes(through.digest_strength), through.digest_strength);
    assert.ok(['held', 'cache'].includes(through.digest_source), through.digest_source);
    const identity = ({ dev, ino, generation, ctime_ns, size }: typeof through) => [
      dev,
      ino,
      generation,
      ctime_ns,
      size,
    ];
    assert.deepEqual(identity(through), identity(directly));
    assert.deepEqual(directly.flagNames, []);
  });
}
