/** The processes of a running Bintrail: what they may do, how they show that they live, and how they end together. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DEFAULT_SOCKETS } from '@bintrail/probe/containers/sockets.ts';
import { socketGroups } from '@bintrail/probe/launch.ts';
import { lookupUser } from '@bintrail/runtime/privileges.ts';
import { type Bintrail, eventually, startBintrail, whyNotHere } from './bintrail.ts';

const skip = whyNotHere() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'bintrail-processes-'));
let bintrail: Bintrail;

before(async () => {
  if (!skip) bintrail = await startBintrail(join(folder, 'home'));
});
after(async () => {
  await bintrail?.stop();
  rmSync(folder, { recursive: true });
});

const read = (path: string) => readFileSync(path, 'utf8');

function childWith(word: string): number {
  const children = read(`/proc/${bintrail.pid}/task/${bintrail.pid}/children`).trim().split(' ').map(Number);
  const found = children.find((pid) => read(`/proc/${pid}/cmdline`).includes(word));
  assert.ok(found, `no child is ${word}`);
  return found;
}

/** A field of the status of every thread of a process, once each. */
function inAllThreads(pid: number, field: string): string[] {
  const statuses = readdirSync(`/proc/${pid}/task`).map((thread) => read(`/proc/${pid}/task/${thread}/status`));
  return [
    ...new Set(statuses.map((status) => new RegExp(`^${field}:[ \\t]*(.*)$`, 'm').exec(status)?.[1] ?? 'missing')),
  ];
}

const PARTS = ['standalone/src/backend.ts', 'probe/src/main.ts', 'clickhouse-host'];

test('no part can gain rights by executing something, and only the probe has any', { skip }, () => {
  for (const part of PARTS) assert.deepEqual(inAllThreads(childWith(part), 'NoNewPrivs'), ['1'], part);
  const { uid } = lookupUser('bintrail')!;
  for (const part of PARTS.filter((name) => !name.includes('probe'))) {
    assert.deepEqual(inAllThreads(childWith(part), 'Uid'), [Array(4).fill(uid).join('\t')], part);
    assert.deepEqual(inAllThreads(childWith(part), 'CapEff'), ['0'.repeat(16)], part);
  }
  const probe = childWith('probe/src/main.ts');
  assert.deepEqual(inAllThreads(probe, 'Uid'), [Array(4).fill(lookupUser('bintrail-probe')!.uid).join('\t')]);
  const groups = socketGroups(DEFAULT_SOCKETS).sort((a, b) => a - b);
  assert.deepEqual(
    inAllThreads(probe, 'Groups').map((text) => text.trim()),
    [groups.join(' ')],
  );
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
    assert.deepEqual(inAllThreads(probe, set), ['000000c000280004'], `${set}: the five of the probe, and no other`);
  }
});

test('a probe that hangs shows as degraded, and as up when it goes on', { skip, timeout: 120_000 }, async () => {
  const stateOfProbe = async () => (await bintrail.get('/healthz')).json.parts.probe.state;
  const becomes = (state: string) =>
    eventually(`the probe is ${state}`, 50_000, async () => ((await stateOfProbe()) === state ? true : undefined));
  await becomes('up');
  const probe = childWith('probe/src/main.ts');
  process.kill(probe, 'SIGSTOP');
  try {
    await becomes('degraded');
  } finally {
    process.kill(probe, 'SIGCONT');
  }
  await becomes('up');
});

test('a probe that is killed ends everything, also while somebody asks', { skip, timeout: 120_000 }, async () => {
  const stream = await fetch(`${bintrail.url}/v1/events/stream`, {
    headers: { authorization: `Bearer ${bintrail.token}` },
  });
  assert.equal(stream.status, 200);
  const children = PARTS.map(childWith);
  process.kill(childWith('probe/src/main.ts'), 'SIGKILL');
  assert.equal(await bintrail.ended, 1);
  await stream.text().catch(() => {});
  for (const pid of children) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  assert.doesNotMatch(bintrail.output(), /closing takes too long/);
});
