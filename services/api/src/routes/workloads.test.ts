import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { openTestApi, startParts, type TestApi, type TestParts } from '../api.fixture.ts';
import { createSendEvents, PENDING, type SendEvents } from '../events.fixture.ts';

let parts: TestParts;
let api: TestApi;
let send: SendEvents;

before(async () => {
  parts = await startParts();
  api = await openTestApi(parts, { requestsPerSecond: 1e9 });
  send = createSendEvents(parts.store);
});
after(async () => {
  await api.close();
  await parts.stop();
});

const HOUR_NS = 3_600_000_000_000n;
const ago = (hours: number) => BigInt(Date.now()) * 1_000_000n - BigInt(hours) * HOUR_NS;
const hex = (bytes: string) => Buffer.from(bytes, 'latin1').toString('hex');
let content = 0;
/** A digest that no other case uses, as a byte string. */
const fresh = () => Buffer.from((++content).toString(16).padStart(64, '0'), 'hex').toString('latin1');
const absent = (digest_reason: string) => ({ ...PENDING, digest_reason });

async function profile(workload: string, query = '') {
  const { status, json, text } = await api.ask(`/v1/workloads/${encodeURIComponent(workload)}/profile?${query}`);
  assert.equal(status, 200, text);
  return json;
}
const ids = async (query: string) =>
  (await api.ask(`/v1/workloads?${query}`)).json.items.map(({ workload }: { workload: string }) => workload);

describe('a profile', () => {
  it('shows what a workload runs, who starts it, as whom and where', async () => {
    const workload = 'k8s/shop/deploy/cart/app';
    const [sh, tool] = [fresh(), fresh()];
    const dash = { sha256: sh, workload, path: '/bin/sh', parent_path: '/init', uid: 0, image: 'sha256:1' };
    await send('exec', [dash, dash, { sha256: tool, workload, path: '/t', parent_path: '/bin/sh', uid: 33 }]);
    await send('load', [{ sha256: fresh(), workload, path: '/x.sh', parent_path: '/bin/sh', uid: 33 }], { node: 'b' });
    await send('exec', [
      { ...absent('vanished'), workload, path: '/gone', parent_path: '/t', uid: 33 },
      { ...absent('timeout'), workload, path: '/gone', parent_path: '/t', uid: 33 },
      { sha256: fresh(), workload: 'host', path: '/else' },
      { sha256: fresh(), workload, path: '/before', flags: flagBit('snapshot') },
    ]);
    const shown = await profile(workload);
    const executables = shown.executables.map((one: Record<string, unknown>) => [
      one.paths,
      one.sha256,
      one.reason,
      one.count,
    ]);
    assert.deepEqual(executables, [
      [['/gone'], null, 'timeout', 1],
      [['/gone'], null, 'vanished', 1],
      [['/bin/sh'], hex(sh), null, 2],
      [['/t'], hex(tool), null, 1],
      [['/x.sh'], hex(tool).replace(/.$/, '3'), null, 1],
    ]);
    assert.deepEqual(
      shown.executables.map((one: { verdict: { value: string } }) => one.verdict.value),
      ['unknown', 'unknown', 'unapproved', 'unapproved', 'unapproved'],
    );
    assert.deepEqual(shown.parents[0], { parent_path: '/init', path: '/bin/sh', role: 'exec', count: 2 });
    assert.ok(
      shown.parents.some((one: { role: string; path: string }) => one.role === 'script' && one.path === '/x.sh'),
    );
    assert.deepEqual(shown.users, [
      { uid: 33, count: 4 },
      { uid: 0, count: 2 },
    ]);
    assert.deepEqual(shown.nodes, [
      { node: 'node-a', count: 5 },
      { node: 'b', count: 1 },
    ]);
    assert.deepEqual(shown.images, [{ image: 'sha256:1', count: 2 }]);
    assert.deepEqual(shown.digests, { ratio: 4 / 6, strengths: { exact: 4 }, missing: { timeout: 1, vanished: 1 } });
    assert.equal(shown.coverage.digest_ratio, 4 / 6);
    assert.equal(shown.truncated, false);
    assert.equal(shown.policy_revision, api.deps.approvals.revision());
    const same = await api.ask(`/v1/workloads/profile?workload=${workload}`);
    assert.deepEqual(same.json, shown);
  });

  it('leaves out what the runtime starts to set a container up, and counts it', async () => {
    const workload = 'container/podman/web';
    const [own, runc] = [fresh(), fresh()];
    const setup = {
      sha256: runc,
      workload,
      path: 'runc',
      parent_path: '/usr/sbin/runc',
      flags: flagBit('runtime_setup'),
    };
    const late = { ...setup, ...PENDING, pid: 77 };
    await send('exec', [{ sha256: own, workload, path: '/bin/app', parent_path: 'runc' }, setup, late]);
    await send('digest', [{ ...late, ...{ sha256: runc, digest_strength: 'exact', digest_reason: '', role: 'exec' } }]);
    const shown = await profile(workload);
    assert.deepEqual(
      shown.executables.map((one: { sha256: string }) => one.sha256),
      [hex(own)],
    );
    assert.deepEqual(
      shown.parents.map(({ path }: { path: string }) => path),
      ['/bin/app'],
    );
    assert.equal(shown.setup_count, 2);
    assert.deepEqual(shown.digests.strengths, { exact: 1 });
    const [listed] = (await api.ask(`/v1/workloads?workload=${workload}`)).json.items;
    assert.deepEqual([listed.exec_count, listed.binary_count], [1, 1]);
    const found = (await api.ask(`/v1/binaries/${hex(runc)}`)).json;
    assert.deepEqual([found.exec_count, found.roles, found.verdict.value], [2, ['setup'], 'explained']);
  });

  it('judges anew with every approval, and only within the workload', async () => {
    const sha256 = fresh();
    await send('exec', [
      { sha256, workload: 'v/one' },
      { sha256, workload: 'v/two' },
    ]);
    const match = { sha256: [hex(sha256)] };
    await api.ask('/v1/approvals', { body: { match, effect: 'allow', scope: { workload: 'v/one' }, reason: 'ours' } });
    assert.equal((await profile('v/one')).executables[0].verdict.value, 'approved');
    assert.equal((await profile('v/two')).executables[0].verdict.value, 'unapproved');
  });

  it('moves what was pending to where it belongs', async () => {
    const workload = 'late/one';
    const sha256 = fresh();
    await send('exec', [
      { ...PENDING, workload, pid: 5, start_ns: 5n, path: '/opt/late' },
      { ...PENDING, workload, pid: 6 },
    ]);
    await send('digest', [{ sha256, workload, pid: 5, start_ns: 5n, path: '/opt/late', role: 'exec' }]);
    const { executables, digests } = await profile(workload);
    assert.deepEqual(
      executables.map((one: Record<string, unknown>) => [one.sha256, one.reason, one.count]),
      [
        [null, 'pending', 1],
        [hex(sha256), null, 1],
      ],
    );
    assert.deepEqual(digests, { ratio: 0.5, strengths: { exact: 1 }, missing: { pending: 1 } });
  });

  it('limits executables to those new in this workload, and everything to the window', async () => {
    const workload = 'new/one';
    const [old, young] = [fresh(), fresh()];
    await send('exec', [
      { sha256: old, workload, ts: ago(40), uid: 1 },
      { sha256: old, workload, uid: 2 },
      { sha256: young, workload: 'host', ts: ago(40) },
      { sha256: young, workload, uid: 2 },
      { ...absent('vanished'), workload, path: '/old', ts: ago(40), uid: 1 },
      { ...absent('vanished'), workload, path: '/young', uid: 2 },
    ]);
    const isNew = await profile(workload, 'first_seen_since=now-1d');
    const names = isNew.executables.map((one: { sha256: string; paths: string[] }) => one.sha256 ?? one.paths[0]);
    assert.deepEqual(names, ['/young', hex(young)]);
    const recent = await profile(workload, 'since=now-1d');
    assert.equal(recent.executables.length, 3);
    assert.deepEqual(recent.users, [{ uid: 2, count: 3 }]);
    assert.equal(recent.executables[1].count, 1);
    const before = await profile(workload, 'until=2000-01-01T00:00:00Z');
    assert.deepEqual([before.executables, before.parents, before.digests.ratio], [[], [], null]);
  });

  it('pages its executables without a skip or a repeat, whatever bytes their names are', async () => {
    const workload = Buffer.from([0x77, 0xff]).toString('latin1');
    const path = (byte: number) => `/${String.fromCharCode(byte)}x`;
    const missing = [0xff, 0x0a, 0x27, 0xc3].flatMap((byte) => [
      { ...absent('vanished'), workload, path: path(byte) },
      { ...absent('changed'), workload, path: path(byte) },
    ]);
    await send('exec', [...missing, ...Array.from({ length: 5 }, () => ({ sha256: fresh(), workload }))]);
    const all = (await profile('w\\xff')).executables;
    assert.equal(all.length, 13);
    assert.ok(all.some(({ paths }: { paths: string[] }) => paths[0] === '/\\xffx'));
    for (const limit of [1, 5]) {
      const paged = [];
      let cursor: string | null = '';
      while (cursor !== null) {
        const page = await profile('w\\xff', `limit=${limit}&first_seen_since=now-1d${cursor && `&cursor=${cursor}`}`);
        paged.push(...page.executables);
        cursor = page.next_cursor;
      }
      assert.deepEqual(paged, all);
    }
  });

  it('is not there for a workload nobody saw', async () => {
    assert.equal((await api.ask('/v1/workloads/nobody/profile')).status, 404);
    assert.equal((await api.ask('/v1/workloads/profile?workload=nobody')).status, 404);
    assert.equal((await api.ask('/v1/workloads/profile')).status, 400);
    assert.equal((await api.ask('/v1/workloads/%27%20OR%201%3D1/profile')).status, 404);
  });
});

describe('the list', () => {
  it('counts each workload and pages by id', async () => {
    const sha256 = fresh();
    await send('exec', [
      { sha256, workload: 'l/a', ts: ago(30) },
      { sha256, workload: 'l/a', image: 'sha256:l' },
      { ...PENDING, workload: 'l/b', pid: 3, start_ns: 3n },
      { ...absent('vanished'), workload: 'l/b' },
      { sha256, workload: 'l/c', ts: ago(30) },
    ]);
    await send('digest', [{ sha256: fresh(), workload: 'l/b', pid: 3, start_ns: 3n, role: 'exec' }]);
    await send('exec', [{ sha256: fresh(), workload: 'l/a' }], { node: 'l-node' });
    const { items, coverage } = (await api.ask('/v1/workloads?workload=l/*')).json;
    assert.ok(coverage.events_stored > 0);
    const { first_seen, last_seen, ...a } = items[0];
    assert.deepEqual(a, {
      workload: 'l/a',
      exec_count: 3,
      binary_count: 2,
      digest_ratio: 1,
      nodes: ['l-node', 'node-a'],
      node_count: 2,
      images: ['sha256:l'],
      image_count: 1,
    });
    assert.ok(first_seen < last_seen);
    assert.deepEqual([items[1].exec_count, items[1].binary_count, items[1].digest_ratio], [2, 1, 0.5]);
    assert.deepEqual(await ids('workload=l/a'), ['l/a']);
    assert.deepEqual(await ids('workload=l/*&node=l-node'), ['l/a']);
    assert.deepEqual(await ids('workload=l/*&image=sha256:l'), ['l/a']);
    assert.deepEqual(await ids('workload=l/*&since=now-2h'), ['l/a', 'l/b']);
    const first = (await api.ask('/v1/workloads?workload=l/*&limit=2')).json;
    const rest = (await api.ask(`/v1/workloads?workload=l/*&limit=2&cursor=${first.next_cursor}`)).json;
    const paged = [...first.items, ...rest.items].map(({ workload }: { workload: string }) => workload);
    assert.deepEqual(paged, ['l/a', 'l/b', 'l/c']);
    assert.equal(rest.next_cursor, null);
  });
});
