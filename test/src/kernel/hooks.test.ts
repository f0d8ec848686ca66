/** Which family of hooks is used, and what only lsm shows. In the virtual machine the kernel allows it; here it may not. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { run, type Watched, watchKernel, whyNotHere } from './probe-kit.ts';

const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-hooks-'));
const at = (name: string) => join(folder, name);
const digestOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
const NO_IMA = 'IMA does not measure here (boot with ima_policy=tcb)';
let watched: Watched;
/** Why the kernel refuses the lsm family; undefined where it is in use. */
let refusal: string | undefined;

before(async () => {
  if (skip) return;
  watched = await watchKernel({ hooks: 'auto' });
  refusal = watched.probe.lsmRefusal;
});

after(async () => {
  await (watched as Watched | undefined)?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function script(name: string, interpreter: string): string {
  writeFileSync(at(name), `#!${interpreter}\nexit 0\n`);
  chmodSync(at(name), 0o755);
  return at(name);
}

const loadOf = (script: string) => watched.row('load', ({ path }) => path === script);

const measures = () => {
  const list = '/sys/kernel/security/ima/runtime_measurements_count';
  return existsSync(list) && Number(readFileSync(list, 'utf8')) > 1;
};

test('left to itself the probe takes lsm, or says why it cannot', { skip, timeout: 60_000 }, () => {
  assert.equal(watched.probe.hooks, refusal === undefined ? 'lsm' : 'tracepoint');
  if (refusal !== undefined)
    assert.match(refusal, /the kernel \(\S+\) refused|bpf is not among the LSMs|cannot be read/);
  else assert.notEqual(watched.probe.changes, 'tracepoints', 'where trampolines are allowed');
});

test('tracepoint can be asked for where lsm would do', { skip, timeout: 60_000 }, async () => {
  const asked = await watchKernel({ hooks: 'tracepoint' });
  await asked.stop();
  assert.deepEqual([asked.probe.hooks, asked.probe.lsmRefusal], ['tracepoint', undefined]);
  assert.notEqual(asked.probe.changes, 'trampolines');
  assert.ok(asked.rows().some(({ event, hooks }) => event === 'heartbeat' && hooks === 'tracepoint'));
});

test('lsm asked for where the kernel refuses it ends the start, with the reason', {
  skip,
  timeout: 60_000,
}, async (t) => {
  if (refusal === undefined) return t.skip('this kernel allows it');
  await assert.rejects(
    watchKernel({ hooks: 'lsm' }),
    (error) => error instanceof SetupError && error.message === refusal,
  );
});

test('every script on the way to the program is told, by the files the kernel itself opened', {
  skip,
  timeout: 60_000,
}, async (t) => {
  if (refusal !== undefined) return t.skip(refusal);
  const inner = script('inner', '/bin/sh');
  const outer = script('outer', inner);
  symlinkSync(outer, at('link'));
  await new Promise((resolve) => setTimeout(resolve, 50));
  await run(at('link'), []);
  const [first, second] = [await loadOf(outer), await loadOf(inner)];
  assert.ok(first.seq < second.seq, 'in the order the kernel went through them');
  for (const row of [first, second]) {
    assert.deepEqual([row.role, row.sha256, row.digest_strength], ['script', digestOf(row.path), 'exact']);
  }
  const program = await watched.row('exec', ({ pid, start_ns, self_exec_id }) => {
    return pid === first.pid && start_ns === first.start_ns && self_exec_id === first.self_exec_id;
  });
  assert.equal(program.filename, at('link'));
  assert.equal(second.parent_path, program.path);
});

test('a script whose exec failed is not taken for the next one of its process', {
  skip,
  timeout: 60_000,
}, async (t) => {
  if (refusal !== undefined) return t.skip(refusal);
  const [failing, working] = [script('failing', '/nonexistent/interpreter'), script('working', '/bin/sh')];
  await run('/bin/bash', ['-c', `shopt -s execfail; exec ${failing} 2>/dev/null; exec ${working}`]);
  const load = await loadOf(working);
  const exec = await watched.row('exec', ({ filename }) => filename === working);
  assert.equal(load.pid, exec.pid);
  assert.ok(!watched.rows().some(({ event, path }) => event === 'load' && path === failing));
});

const MOUNT = {
  // Past the policy of IMA's that measures no tmpfs.
  ext4: (at: string) => `truncate -s 8M ${at}.disk && mkfs.ext4 -q ${at}.disk && mount -o loop ${at}.disk ${at}`,
  ramfs: (at: string) => `mount -t ramfs none ${at}`,
} as const;

/** Mounts in a namespace of its own, which the probe cannot mark, copies a program there and runs it: gone at once. */
async function runOutOfSight(type: keyof typeof MOUNT): Promise<string> {
  const place = at(type);
  mkdirSync(place);
  const steps = `${MOUNT[type](place)} && cp /bin/true ${place}/seen && sleep 0.1 && ${place}/seen`;
  await run('unshare', ['--mount', 'sh', '-c', steps]);
  return join(place, 'seen');
}

for (const [type, strength] of [
  ['ext4', 'exact'],
  ['ramfs', 'racy'],
] as const) {
  test(`a program on ${type} that nobody marked has the digest IMA took of it: ${strength}`, {
    skip,
    timeout: 60_000,
  }, async (t) => {
    if (refusal !== undefined) return t.skip(refusal);
    if (!measures()) return t.skip(NO_IMA);
    const path = await runOutOfSight(type);
    const row = await watched.row('exec', (found) => found.path === path);
    assert.deepEqual([row.digest_source, row.digest_strength], ['ima', strength]);
    assert.equal(row.sha256, digestOf('/bin/true'));
  });
}
