import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

const skip = process.platform === 'linux' ? false : 'only Linux has the flag';
const module = JSON.stringify(new URL('./no-new-privileges.ts', import.meta.url).href);

/** NoNewPrivs of every thread of a child of a process that runs `body`. */
function flagsInChild(body: string): string[] {
  const look = `
    const { readdirSync, readFileSync } = require('node:fs');
    require('node:fs/promises').readFile('/proc/self/status').then(() => {
      const flags = readdirSync('/proc/self/task').map((thread) =>
        /^NoNewPrivs:\\s*(\\d)/m.exec(readFileSync('/proc/self/task/' + thread + '/status', 'utf8'))[1]);
      console.log(JSON.stringify(flags));
    });`;
  const script = `
    import { spawnSync } from 'node:child_process';
    import { forbidNewPrivileges } from ${module};
    ${body}
    spawnSync(process.execPath, ['-e', ${JSON.stringify(look)}], { stdio: 'inherit' });`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.equal(stderr, '');
  return JSON.parse(stdout);
}

test('every thread of a child started afterwards has the flag', { skip }, () => {
  const flags = flagsInChild('forbidNewPrivileges();');
  assert.ok(flags.length > 1, 'libuv and V8 have threads');
  assert.deepEqual(new Set(flags), new Set(['1']));
});
