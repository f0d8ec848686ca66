import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { makeCheckout, plainEnv, REAL_ROOT } from './checkout.fixture.mjs';
import { countTests, judgeTask, parseLogLine } from './rings.mjs';

/** All that turbo.json names must be there; only those with a test are run. */
const WORKSPACES = ['services/probe', 'services/standalone'];
const TESTED_WORKSPACES = { 'services/api': 'test', test: 'test:e2e' };
const TEST_SCRIPT = "node --test 'src/**/*.test.ts'";
const PASSES = "import { test } from 'node:test';\ntest('fine', () => {});\n";
const SKIPS = `${PASSES}test('needs a moon', { skip: 'no moon tonight' }, () => {});\n`;
const FAILS = `${PASSES}test('broken', () => { throw new Error('as expected'); });\n`;

/** A checkout with our turbo.json and the real turbo; one of its workspaces has the given test. */
function makeRings(t, source, scripts = {}) {
  const checkout = makeCheckout(t, { 'services/api/src/a.test.ts': source });
  const addWorkspace = (folder, own) => {
    const manifest = { name: `@bintrail/${path.basename(folder)}`, version: '0.0.0', type: 'module', scripts: own };
    checkout.write(`${folder}/package.json`, JSON.stringify(manifest));
  };
  for (const folder of WORKSPACES) addWorkspace(folder, {});
  for (const [folder, name] of Object.entries(TESTED_WORKSPACES)) addWorkspace(folder, { [name]: TEST_SCRIPT });
  const rootScripts = {
    typecheck: 'exit 0',
    lint: 'exit 0',
    'test:setup': 'exit 0',
    'test:bench': 'exit 0',
    ...scripts,
  };
  const root = {
    name: 'rings',
    workspaces: ['services/*', 'test'],
    packageManager: 'npm@11.0.0',
    scripts: rootScripts,
  };
  checkout.write('package.json', JSON.stringify(root));
  checkout.write('package-lock.json', JSON.stringify({ name: 'rings', lockfileVersion: 3, packages: {} }));
  for (const file of ['turbo.json', '.gitignore'])
    copyFileSync(path.join(REAL_ROOT, file), path.join(checkout.root, file));
  mkdirSync(path.join(checkout.root, 'node_modules'));
  for (const name of ['.bin', 'turbo', '@turbo']) {
    symlinkSync(path.join(REAL_ROOT, 'node_modules', name), path.join(checkout.root, 'node_modules', name));
  }
  return checkout;
}

function runRings({ root, write }, missing = []) {
  write(
    'run.mjs',
    `import { runRings } from './infra/setup/rings.mjs';
    process.exitCode = await runRings(import.meta.dirname, process.execPath, process.env, ${JSON.stringify(missing)});`,
  );
  const bin = path.join(REAL_ROOT, 'node_modules/.bin');
  const env = plainEnv({ PATH: `${bin}${path.delimiter}${process.env.PATH}` });
  const { status, stdout } = spawnSync(process.execPath, [path.join(root, 'run.mjs')], {
    cwd: root,
    env,
    encoding: 'utf8',
  });
  return { status, stdout, lastLine: stdout.trimEnd().split('\n').at(-1) };
}

const skip = !existsSync(path.join(REAL_ROOT, 'node_modules/.bin/turbo')) && 'turbo is not installed';

describe('rings under the real turbo', { skip }, () => {
  test('count the same when turbo replays its cache, with the reason of each skip', (t) => {
    const checkout = makeRings(t, SKIPS);
    for (const timing of [/@bintrail\/api .*\d s\)/, /@bintrail\/api .*\(cached\)/]) {
      const { status, stdout, lastLine } = runRings(checkout);
      assert.match(stdout, timing);
      assert.match(stdout, /^ {2}@bintrail\/api: needs a moon: no moon tonight$/m);
      assert.equal(lastLine, '5 passed, 0 failed, 1 skipped', stdout);
      assert.equal(status, 0);
    }
    assert.deepEqual(readdirSync(path.join(checkout.root, '.turbo/runs')), []);
  });

  test('a failed test shows its output, fails the run, and stops no other', (t) => {
    const { status, stdout, lastLine } = runRings(makeRings(t, FAILS));
    assert.match(stdout, /^ {2}FAIL {2}@bintrail\/api .*1 passed, 1 failed/m);
    assert.match(stdout, /as expected/);
    assert.equal(lastLine, '5 passed, 1 failed, 0 skipped', stdout);
    assert.equal(status, 1);
  });

  test('a task without tests that fails counts as a failure', (t) => {
    const { status, lastLine } = runRings(makeRings(t, PASSES, { lint: 'echo crooked; exit 3' }));
    assert.equal(lastLine, '4 passed, 1 failed, 0 skipped');
    assert.equal(status, 1);
  });

  test('an incomplete machine skips the rings of the kernel and says what it lacks', (t) => {
    const { status, stdout, lastLine } = runRings(makeRings(t, PASSES), [{ name: 'clang' }]);
    assert.match(stdout, /^ {2}end to end: this machine lacks clang/m);
    assert.match(stdout, /^ {2}services: this machine lacks clang/m);
    assert.match(stdout, /^ {2}virtual machine: this machine lacks clang/m);
    assert.match(stdout, /^ {2}fault drills: this machine lacks clang/m);
    assert.equal(lastLine, '5 passed, 0 failed, 4 skipped');
    assert.equal(status, 0);
  });

  test('what only one test wants skips no ring', (t) => {
    const { stdout } = runRings(makeRings(t, PASSES), [{ name: 'kcat', only: 'one test' }]);
    assert.doesNotMatch(stdout, /this machine lacks/);
  });

  test('what only the broker of the tests lacks skips the kafka ring and the drills, and no other', (t) => {
    const { stdout, lastLine } = runRings(makeRings(t, PASSES), [{ name: 'mvn', only: 'kafka' }]);
    assert.match(stdout, /^ {2}kafka: this machine lacks mvn/m);
    assert.match(stdout, /^ {2}fault drills: this machine lacks mvn/m);
    assert.doesNotMatch(stdout, /end to end: this machine lacks/);
    assert.equal(lastLine, '5 passed, 0 failed, 2 skipped', stdout);
  });

  test('what only the virtual machine lacks skips its ring, and no other', (t) => {
    const { stdout, lastLine } = runRings(makeRings(t, PASSES), [{ name: 'qemu-system-x86_64', only: 'vm' }]);
    assert.match(stdout, /^ {2}virtual machine: this machine lacks qemu-system-x86_64/m);
    assert.equal(lastLine, '5 passed, 0 failed, 1 skipped', stdout);
  });

  test('a turbo that cannot run is a failure, with its words', (t) => {
    const checkout = makeRings(t, PASSES);
    checkout.write('turbo.json', '{ "tasks": 7 }');
    const { status, stdout, lastLine } = runRings(checkout);
    assert.match(stdout, /FAIL {2}turbo[\s\S]*turbo\.json/);
    assert.equal(lastLine, '0 passed, 4 failed, 0 skipped');
    assert.equal(status, 1);
  });
});

test('the counts of several runs in one log are added, cancelled ones are failures, todo ones are skipped', () => {
  const log = [
    'ℹ pass 2',
    'ℹ fail 1',
    'ℹ cancelled 1',
    'ℹ skipped 0',
    'ℹ todo 3',
    '  ℹ pass 100',
    'ℹ pass 4',
    'ℹ skipped 1',
  ];
  assert.deepEqual(countTests(log), { ran: true, passed: 6, failed: 2, skipped: 4, skips: [] });
});

test('skips keep their reason whatever their name holds', () => {
  const log = ['﹣ a (b) # c (0.1ms) # no root', '  ﹣ inner (12.5ms) # SKIP', '✔ not ﹣ this'];
  assert.deepEqual(countTests(log).skips, ['a (b) # c: no root', 'inner: no reason given']);
});

test('a crash after tests that all passed is a failure', () => {
  const outcome = judgeTask({ taskId: '@bintrail/api#test', execution: { exitCode: 1 } }, ['ℹ pass 3', 'ℹ fail 0']);
  assert.deepEqual([outcome.task, outcome.passed, outcome.failed], ['@bintrail/api', 3, 1]);
});

test('a task that turbo never ran is a failure', () => {
  assert.equal(judgeTask({ taskId: '//#lint' }, []).failed, 1);
});

test("lines belong to the task in their prefix, turbo's own to turbo", () => {
  assert.deepEqual(parseLogLine('@bintrail/api:test: a: b'), { taskId: '@bintrail/api#test', text: 'a: b' });
  assert.deepEqual(parseLogLine('//:test:setup: '), { taskId: '//#test:setup', text: '' });
  assert.deepEqual(parseLogLine('Cached:    0 cached'), { taskId: 'turbo', text: 'Cached:    0 cached' });
});
