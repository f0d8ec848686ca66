import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { fakeNpm, makeCheckout, startEntry } from './checkout.fixture.mjs';
import { findMissing } from './checks.mjs';

const OFFER = /^npm start -- --replay shows it on a recorded sample$/m;
const PROGRAM = { 'services/standalone/src/main.ts': 'console.log(JSON.stringify(process.argv.slice(2)))' };

/** Starts the set-up as on a Mac; what it launches sees the real platform again. */
function startOnMac(checkout, args, env) {
  checkout.write('mac.cjs', "Object.defineProperty(process, 'platform', { value: 'darwin' });");
  const nodeArgs = ['--require', path.join(checkout.root, 'mac.cjs')];
  return startEntry(process.execPath, checkout, args, { nodeArgs, env }).ended;
}

describe('where no probe can run', () => {
  test('a start says so and offers the replay', async (t) => {
    const checkout = makeCheckout(t, PROGRAM);
    fakeNpm(checkout);
    const { code, stdout, stderr } = await startOnMac(checkout, ['start']);
    assert.equal(code, 78);
    assert.match(stderr, /Linux \(this is darwin\)/);
    assert.match(stderr, OFFER);
    assert.equal(stdout, '');
  });

  test('a replay wants a ClickHouse server there, and offers nothing more', async (t) => {
    const checkout = makeCheckout(t, PROGRAM);
    fakeNpm(checkout);
    const { code, stderr } = await startOnMac(checkout, ['start', '--replay']);
    assert.equal(code, 78);
    assert.match(stderr, /CLICKHOUSE_URL +the embedded ClickHouse runs on Linux only/);
    assert.doesNotMatch(stderr, OFFER);
  });

  test('with one it starts the program, which is told to replay', async (t) => {
    const checkout = makeCheckout(t, PROGRAM);
    fakeNpm(checkout);
    const env = { CLICKHOUSE_URL: 'http://127.0.0.1:8123/bintrail_replay' };
    const { code, stdout, stderr } = await startOnMac(checkout, ['start', '--replay'], env);
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), ['--replay']);
  });
});

test('a clang that only probes need is offered the replay for', async (t) => {
  const checkout = makeCheckout(t, { ...PROGRAM, 'bpf/some.bpf.c': 'int x;' });
  const { code, stderr } = await startEntry(process.execPath, checkout, ['start'], {}).ended;
  assert.equal(code, 78);
  assert.match(stderr, OFFER);
});

test('a replay on Linux needs neither libbpf nor clang', {
  skip: process.platform !== 'linux' && 'needs Linux',
}, (t) => {
  const { root: base, commands, write } = makeCheckout(t, { 'usr/include/dlfcn.h': '' });
  for (const name of ['npm', 'cc']) write(path.join(commands, name), '', 0o755);
  const context = { env: { PATH: commands }, builds: [{ tool: 'cc' }], writes: [], base };
  assert.deepEqual(findMissing({ ...context, mode: 'replay' }), []);
  assert.equal(findMissing({ ...context, mode: 'start' })[0].name, 'libbpf.so.1');
});
