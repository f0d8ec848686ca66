import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { type Source, sourceOf } from './interpreter-arguments.ts';
import type { Family } from './interpreters.ts';

const shown = (source: Source) => (source.kind === 'file' ? source.path : source.kind);

/** Family, arguments, and where the program is. */
const CASES: readonly (readonly [Family, string, string])[] = [
  ['shell', 'sh x.sh', 'x.sh'],
  ['shell', 'sh', 'stdin'],
  ['shell', 'sh -', 'stdin'],
  ['shell', 'sh -c code x.sh', 'none'],
  ['shell', 'bash -lc code', 'none'],
  ['shell', 'bash -eux x.sh -c', 'x.sh'],
  ['shell', 'bash -o pipefail x.sh', 'x.sh'],
  ['shell', 'bash -euo pipefail x.sh', 'x.sh'],
  ['shell', 'bash +x +o posix x.sh', 'x.sh'],
  ['shell', 'bash --rcfile rc --norc x.sh', 'x.sh'],
  ['shell', 'bash -s x.sh', 'stdin'],
  ['shell', 'bash -- -x.sh', '-x.sh'],
  ['busybox', 'busybox sh x.sh', 'x.sh'],
  ['busybox', '/bin/sh x.sh', 'x.sh'],
  ['busybox', '-ash', 'stdin'],
  ['busybox', 'busybox cat x.sh', 'none'],
  ['busybox', 'cat x.sh', 'none'],
  ['busybox', './busybox-x sh x.sh', 'x.sh'],
  ['busybox', 'x-busybox sh x.sh', 'none'],
  ['busybox', 'tool sh x.sh', 'none'],
  ['busybox', 'busybox /bin/sh x.sh', 'x.sh'],
  ['busybox', 'busybox busybox-y sh x.sh', 'x.sh'],
  ['busybox', 'busybox -sh x.sh', 'none'],
  ['busybox', 'busybox --help sh', 'none'],
  ['busybox', 'busybox -- sh x.sh', 'none'],
  ['busybox', '-busybox sh x.sh', 'x.sh'],
  ['busybox', '-x/sh x.sh', 'x.sh'],
  ['busybox', 'x/-sh x.sh', 'none'],
  ['busybox', '/bin/sh/ x.sh', 'none'],
  ['busybox', 'sh --help', 'none'],
  ['busybox', 'busybox', 'none'],
  ['busybox', 'busybox awk -f x.awk', 'x.awk'],
  ['busybox', 'awk -F : -va=f -W any -f x.awk y', 'x.awk'],
  ['busybox', 'awk -e BEGIN{} -fx.awk', 'x.awk'],
  ['busybox', 'awk -f -', 'stdin'],
  ['busybox', 'awk BEGIN{} -f x.awk', 'none'],
  ['busybox', 'awk -- -f x.awk', 'none'],
  ['busybox', 'awk -vf=x BEGIN{}', 'none'],
  ['busybox', 'sed -f x.sed y', 'x.sed'],
  ['busybox', 'sed -rf x.sed', 'x.sed'],
  ['busybox', 'sed -e p --file=x.sed', 'x.sed'],
  ['busybox', 'sed --expression p --file x.sed', 'x.sed'],
  ['busybox', 'sed -i.f s/a/f/ x.sed', 'none'],
  ['busybox', 'sed s/a/b/ x.sed', 'none'],
  ['python', 'python3 x.py y.py', 'x.py'],
  ['python', 'python3 -m json.tool x.json', 'none'],
  ['python', 'python3 -Im json.tool', 'none'],
  ['python', 'python3 -c code', 'none'],
  ['python', 'python3 -W error -X dev -u x.py', 'x.py'],
  ['python', 'python3 -Werror x.py', 'x.py'],
  ['python', 'python3 -', 'stdin'],
  ['perl', 'perl -w x.pl', 'x.pl'],
  ['perl', 'perl -ne code x', 'none'],
  ['perl', 'perl -Mvars=e -I lib x.pl', 'x.pl'],
  ['perl', 'perl -Ilib -i.e x.pl', 'x.pl'],
  ['ruby', 'ruby -r set -Ilib x.rb', 'x.rb'],
  ['ruby', 'ruby -e code', 'none'],
  ['node', 'node --require ./hook.js --no-warnings x.js', 'x.js'],
  ['node', 'node --import=./hook.js x.js', 'x.js'],
  ['node', 'node -pe code', 'none'],
  ['node', 'node --eval code', 'none'],
  ['php', 'php -d a=b -f x.php', 'x.php'],
  ['php', 'php -fx.php', 'x.php'],
  ['php', 'php -r code', 'none'],
  ['lua', 'lua -e code x.lua', 'x.lua'],
  ['tcl', 'tclsh x.tcl', 'x.tcl'],
];

for (const [family, line, expected] of CASES) {
  test(`${family}: ${line}`, () => assert.equal(shown(sourceOf(family, line.split(' '))), expected));
}

const BUSYBOX = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));

describe('busybox itself', { skip: BUSYBOX === undefined && 'no busybox here' }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'bintrail-busybox-'));
  writeFileSync(join(folder, 'x.sh'), 'echo this ran');
  writeFileSync(join(folder, 'x.awk'), 'BEGIN { print "this ran"; exit }');
  writeFileSync(join(folder, 'x.sed'), 's/.*/this ran/');
  writeFileSync(join(folder, 'y'), 'in');
  after(() => rmSync(folder, { recursive: true }));

  for (const [family, line] of CASES) {
    if (family !== 'busybox') continue;
    test(line, () => {
      const [called = '', ...words] = line.split(' ');
      const { stdout } = spawnSync(BUSYBOX!, words, { argv0: called, cwd: folder, input: 'in', encoding: 'utf8' });
      assert.equal(/^this ran$/m.test(stdout), shown(sourceOf(family, [called, ...words])).startsWith('x.'));
    });
  }
});
