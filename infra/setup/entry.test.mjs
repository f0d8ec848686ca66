import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { fakeNpm, findOldNode, makeCheckout, startEntry } from './checkout.fixture.mjs';

const REPORT = `const seen: string[] = [process.execPath, process.cwd(), ...process.argv.slice(2)];
console.log(JSON.stringify(seen));
process.exitCode = 7;
`;

/** Says how many SIGINTs it got when SIGTERM comes. */
const COUNT_SIGNALS = `let interrupts = 0;
process.on('SIGINT', () => { interrupts += 1; console.log('interrupted'); });
process.on('SIGTERM', () => { console.log('interrupts: ' + interrupts); process.exit(3); });
setInterval(() => {}, 1000);
console.log('ready');
`;

const old = findOldNode();
const nodes = [
  { name: `Node ${process.version}`, file: process.execPath },
  old
    ? { name: `the machine's Node ${old.version}`, file: old.file }
    : { name: 'an older Node', skip: 'no Node 18 to 23 on the PATH of this machine' },
];

for (const { name, file: node, skip = false } of nodes) {
  describe(`entry on ${name}`, { skip }, () => {
    test('installs once, then runs the file on the Node that npm brought, with its arguments and exit code', async (t) => {
      const checkout = makeCheckout(t, { 'tools/report.ts': REPORT });
      fakeNpm(checkout);
      for (const _start of ['first', 'second']) {
        const run = await startEntry(node, checkout, ['run', 'tools/report.ts', 'a b', '--c'], { cwd: os.tmpdir() })
          .ended;
        assert.equal(run.code, 7, run.stderr);
        assert.deepEqual(JSON.parse(run.stdout), [process.execPath, checkout.root, 'a b', '--c']);
      }
      assert.equal(readFileSync(path.join(checkout.root, 'npm.log'), 'utf8').split('\n').length, 2);
      checkout.write('package-lock.json', '{"changed":true}');
      await startEntry(node, checkout, ['run', 'tools/report.ts']).ended;
      assert.equal(readFileSync(path.join(checkout.root, 'npm.log'), 'utf8').split('\n').length, 3);
    });

    test('a failed install shows what npm said, and nothing it left behind is trusted', async (t) => {
      const checkout = makeCheckout(t, { 'tools/report.ts': REPORT });
      fakeNpm(checkout, 'touch node_modules/half; echo npm http fetch noise; echo "E404 gone" >&2; exit 1');
      const failed = await startEntry(node, checkout, ['run', 'tools/report.ts']).ended;
      assert.equal(failed.code, 78);
      assert.match(failed.stderr, /E404 gone/);
      assert.doesNotMatch(failed.stderr, /^npm http/m);
      fakeNpm(checkout);
      const run = await startEntry(node, checkout, ['run', 'tools/report.ts']).ended;
      assert.equal(run.code, 7, run.stderr);
      assert.equal(existsSync(path.join(checkout.root, 'node_modules/half')), false);
    });

    test('a signal reaches the program, whose exit code is ours', async (t) => {
      const checkout = makeCheckout(t, { 'wait.ts': COUNT_SIGNALS });
      fakeNpm(checkout);
      const entry = startEntry(node, checkout, ['run', 'wait.ts']);
      await entry.printed('ready');
      process.kill(entry.pid, 'SIGTERM');
      assert.equal((await entry.ended).code, 3);
    });

    test('Ctrl-C, which reaches our whole process group, interrupts the program once', async (t) => {
      const checkout = makeCheckout(t, { 'wait.ts': COUNT_SIGNALS });
      fakeNpm(checkout);
      const entry = startEntry(node, checkout, ['run', 'wait.ts']);
      await entry.printed('ready');
      process.kill(-entry.pid, 'SIGINT');
      await entry.printed('interrupted');
      process.kill(entry.pid, 'SIGTERM');
      assert.match((await entry.ended).stdout, /^interrupts: 1$/m);
    });

    test('a program that a signal ended ends us by the same signal', async (t) => {
      const checkout = makeCheckout(t, { 'wait.ts': "setInterval(() => {}, 1000); console.log('ready');" });
      fakeNpm(checkout);
      const entry = startEntry(node, checkout, ['run', 'wait.ts']);
      await entry.printed('ready');
      process.kill(entry.pid, 'SIGTERM');
      assert.equal((await entry.ended).signal, 'SIGTERM');
    });

    test('a wrong command line says what is right', async (t) => {
      const checkout = makeCheckout(t);
      for (const args of [[], ['fly'], ['run'], ['run', 'no/such.ts'], ['test', 'x']]) {
        const { code, stderr } = await startEntry(node, checkout, args).ended;
        assert.equal(code, 64, args.join(' '));
        assert.match(stderr, /usage: node infra\/setup\/entry\.mjs start/);
      }
    });

    test('everything missing is named at once, before anything is done', async (t) => {
      const checkout = makeCheckout(t, {
        'bpf/some.bpf.c': 'int x;',
        'services/standalone/src/main.ts': "console.log('started')",
      });
      const { code, stdout, stderr } = await startEntry(node, checkout, ['start']).ended;
      assert.equal(code, 78);
      assert.match(stderr, /^ {2}npm +installs the packages/m);
      assert.match(stderr, /^ {2}clang +compiles the BPF programs/m);
      assert.match(stderr, /No package manager known .* Debian's packages are: .*npm.*clang/s);
      assert.equal(stdout, '');
      assert.equal(existsSync(path.join(checkout.root, 'node_modules')), false);
    });

    test('a folder that cannot be written to is named', async (t) => {
      const checkout = makeCheckout(t, { 'tools/report.ts': REPORT });
      fakeNpm(checkout);
      chmodSync(checkout.root, 0o555);
      const entry = startEntry(node, checkout, ['run', 'tools/report.ts'], { asNobody: process.getuid() === 0 });
      const { code, stderr, error } = await entry.ended;
      if (error?.code === 'EACCES') return t.skip(`${node} is out of reach of the user nobody`);
      assert.equal(code, 78);
      assert.match(stderr, /write access .*node_modules/);
    });

    test('a Node that is too old is told which one to get', async (t) => {
      const checkout = makeCheckout(t, {
        'old.cjs': "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '16.20.2' } });",
      });
      const nodeArgs = ['--require', path.join(checkout.root, 'old.cjs')];
      const { code, stderr } = await startEntry(node, checkout, ['start'], { nodeArgs }).ended;
      assert.equal(code, 78);
      assert.match(stderr, /needs Node 18 or newer/);
    });
  });
}
