import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { makeCheckout } from './checkout.fixture.mjs';
import { describeMissing, findMissing } from './checks.mjs';
import { installCommand } from './packages.mjs';

const BUILDS = [{ tool: 'clang' }, { tool: 'cc' }];
const names = (missing) => missing.map((need) => need.name).sort();

describe('on Linux', { skip: process.platform !== 'linux' && 'this is not Linux' }, () => {
  test('an empty machine misses everything, and one command of its package manager brings it', (t) => {
    const { root: base, commands, write } = makeCheckout(t);
    write(path.join(commands, 'apt-get'), '', 0o755);
    const env = { PATH: commands };
    const missing = findMissing({ mode: 'start', env, builds: BUILDS, writes: [], base });
    assert.deepEqual(names(missing), ['asm/types.h', 'bpf/bpf_helpers.h', 'clang', 'dlfcn.h', 'libbpf.so.1', 'npm']);
    const words = installCommand(missing, env).replace(/^sudo |(?<=&& )sudo /g, '');
    assert.match(
      words,
      /^apt-get update && apt-get install -y --no-install-recommends .*npm libbpf1 libbpf-dev linux-libc-dev clang libc6-dev$/,
    );
    assert.ok(describeMissing(missing, env).includes(words.split(' && ')[1]));
  });

  test('what is there, under whatever package name, is not missing', (t) => {
    const {
      root: base,
      commands,
      write,
    } = makeCheckout(t, {
      'usr/lib64/libbpf.so.1': '',
      'usr/include/bpf/bpf_helpers.h': '',
      'usr/include/aarch64-linux-gnu/asm/types.h': '',
      'usr/include/dlfcn.h': '',
    });
    for (const name of ['npm', 'clang-17']) write(path.join(commands, name), '', 0o755);
    const env = { PATH: commands };
    assert.deepEqual(findMissing({ mode: 'start', env, builds: BUILDS, writes: [], base }), []);
  });

  test('what only a build needs is not asked for once it is built', (t) => {
    const { root: base, commands, write } = makeCheckout(t, { 'usr/lib/libbpf.so.1': '' });
    write(path.join(commands, 'npm'), '', 0o755);
    assert.deepEqual(findMissing({ mode: 'start', env: { PATH: commands }, builds: [], writes: [], base }), []);
  });

  test('a broker for the tests wants Java, and Maven until it is fetched', (t) => {
    const { root: base, commands, write } = makeCheckout(t, { 'usr/lib/libbpf.so.1': '' });
    for (const name of ['npm', 'apt-get']) write(path.join(commands, name), '', 0o755);
    const of = (kafka) => findMissing({ mode: 'test', env: { PATH: commands }, builds: [], writes: [], kafka, base });
    assert.deepEqual(names(of(undefined)), []);
    assert.deepEqual(names(of({ fetched: true })), ['cbor2', 'java', 'kcat']);
    assert.deepEqual(names(of({ fetched: false })), ['cbor2', 'java', 'kcat', 'mvn']);
    const command = installCommand(of({ fetched: false }), { PATH: commands });
    assert.match(command, / default-jre-headless maven kcat python3-cbor2$/);
    write(path.join(commands, 'java'), '', 0o755);
    // Two tests do without these.
    assert.ok(of({ fetched: true }).every(({ only }) => only === 'one test'));
    write(path.join(commands, 'kcat'), '', 0o755);
    write(path.join(base, 'usr/lib/python3/dist-packages/cbor2/__init__.py'), '');
    assert.deepEqual(names(of({ fetched: true })), []);
  });

  test('containers for the tests want podman, runc and a busybox', (t) => {
    const { root: base, commands, write } = makeCheckout(t, { 'usr/lib/libbpf.so.1': '' });
    write(path.join(base, 'usr/sbin/runc'), '', 0o755);
    for (const name of ['npm', 'podman', 'rpmbuild', 'containerd']) write(path.join(commands, name), '', 0o755);
    const context = { mode: 'test', env: { PATH: commands }, builds: [], writes: [], base };
    assert.deepEqual(findMissing(context), []);
    const missing = findMissing({ ...context, containers: true });
    assert.deepEqual(names(missing), ['busybox']);
    assert.ok(missing.every(({ only }) => only === 'containers'));
  });

  test("a virtual machine for the tests wants Debian's apt and dpkg, and QEMU and gcc from there", (t) => {
    if (process.arch !== 'x64') return t.skip('the virtual machine is an x86_64 one');
    const { root: base, commands, write } = makeCheckout(t, { 'usr/lib/libbpf.so.1': '' });
    write(path.join(commands, 'npm'), '', 0o755);
    const missing = (vm) => findMissing({ mode: 'test', env: { PATH: commands }, builds: [], writes: [], vm, base });
    assert.deepEqual(names(missing(false)), []);
    assert.deepEqual(names(missing(true)), ['apt-get']);
    for (const name of ['apt-get', 'dpkg']) write(path.join(commands, name), '', 0o755);
    assert.match(installCommand(missing(true), { PATH: commands }), / qemu-system-x86 gcc$/);
    for (const name of ['qemu-system-x86_64', 'gcc']) write(path.join(commands, name), '', 0o755);
    assert.deepEqual(names(missing(true)), []);
  });

  test('a package manager nobody taught us leaves the names to look for', (t) => {
    const { root: base, commands } = makeCheckout(t);
    const env = { PATH: commands };
    const text = describeMissing(findMissing({ mode: 'start', env, builds: BUILDS, writes: [], base }), env);
    assert.match(text, /No package manager known to Bintrail .*Debian's packages are: npm libbpf1 .*clang/s);
  });

  test('no command is offered for what no package brings', () => {
    const text = describeMissing([{ name: 'a moon', purpose: 'for the tides', remedy: 'wait for the night' }], {
      PATH: '',
    });
    assert.match(text, /a moon {2}for the tides\n.*→ wait for the night/);
    assert.doesNotMatch(text, /install/);
  });
});
