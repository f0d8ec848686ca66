import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { runBuild, staleBuilds } from './build.mjs';
import { makeCheckout } from './checkout.fixture.mjs';
import { findClang, findCompiler } from './commands.mjs';
import { StepFailed } from './progress.mjs';

const OBJECT = 'bpf/build/some.bpf.o';
const BPF = '#include "size.h"\nint answer(void) { return SIZE; }\n';
const env = process.env;

describe('BPF objects', { skip: !findClang(env) && 'clang is not installed' }, () => {
  const outputs = (root) => staleBuilds(root, env).map((build) => build.output);
  const buildAll = async (root) => {
    for (const build of staleBuilds(root, env)) await runBuild(build, env);
  };

  test('are built once, and again when any of their sources changes, generated headers included', async (t) => {
    const { root, write } = makeCheckout(t, { 'bpf/some.bpf.c': BPF, 'bpf/gen/size.h': '#define SIZE 1\n' });
    assert.deepEqual(outputs(root), [OBJECT]);
    await buildAll(root);
    assert.deepEqual(outputs(root), []);
    assert.equal(readFileSync(path.join(root, OBJECT)).readUInt16LE(18), 247, 'an ELF file for the machine EM_BPF');
    write('bpf/gen/size.h', '#define SIZE 2\n');
    assert.deepEqual(outputs(root), [OBJECT]);
    await buildAll(root);
    assert.deepEqual(outputs(root), []);
  });

  test('a source that does not compile says why, and leaves the last good object', async (t) => {
    const { root, write } = makeCheckout(t, { 'bpf/some.bpf.c': BPF, 'bpf/gen/size.h': '#define SIZE 1\n' });
    await buildAll(root);
    const before = statSync(path.join(root, OBJECT)).mtimeMs;
    write('bpf/some.bpf.c', '#error "not today"\n');
    await assert.rejects(buildAll(root), (error) => error instanceof StepFailed && /not today/.test(error.message));
    assert.equal(statSync(path.join(root, OBJECT)).mtimeMs, before);
    assert.deepEqual(outputs(root), [OBJECT]);
  });
});

describe('the ClickHouse host', { skip: !findCompiler(env) && 'no C compiler is installed' }, () => {
  const source = { 'infra/clickhouse-host/host.c': 'int main(void) { return 0; }\n' };
  const embedded = { ...env, CLICKHOUSE_URL: '' };

  test('is built when ClickHouse is embedded', async (t) => {
    const { root } = makeCheckout(t, source);
    const [build, ...others] = staleBuilds(root, embedded);
    assert.deepEqual(others, []);
    await runBuild(build, embedded);
    assert.equal(statSync(path.join(root, 'infra/clickhouse-host/build/clickhouse-host')).mode & 0o111, 0o111);
    assert.deepEqual(staleBuilds(root, embedded), []);
  });

  test('is not built for a ClickHouse server elsewhere', (t) => {
    const { root } = makeCheckout(t, source);
    assert.deepEqual(staleBuilds(root, { ...env, CLICKHOUSE_URL: 'http://127.0.0.1:8123' }), []);
  });
});
