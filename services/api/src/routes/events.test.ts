import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { FILE_ACTIONS } from '@bintrail/schemas/file-actions.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { openTestApi, startParts, type TestApi, type TestParts } from '../api.fixture.ts';
import { BOOT, createSendEvents, PENDING, type SendEvents } from '../events.fixture.ts';

const A = 'a1'.repeat(32);
const B = 'b2'.repeat(32);
const bytes = (hex: string) => Buffer.from(hex, 'hex').toString('latin1');
const NOW_NS = BigInt(Date.now()) * 1_000_000n;
const ago = (minutes: number) => NOW_NS - BigInt(minutes) * 60_000_000_000n;

let parts: TestParts;
let api: TestApi;
let send: SendEvents;

before(async () => {
  parts = await startParts();
  api = await openTestApi(parts);
  send = createSendEvents(parts.store);
});
after(async () => {
  await api.close();
  await parts.stop();
});

async function list(query: string) {
  const { status, json, text } = await api.ask(`/v1/events?${query}`, { role: 'viewer' });
  assert.equal(status, 200, text);
  return json;
}

const pids = async (query: string) => (await list(query)).items.map(({ pid }: { pid: number }) => pid);

describe('events', () => {
  it('shows every field of an exec, bytes that are no UTF-8 printable', async () => {
    const argv = Buffer.concat([Buffer.from('/opt/a\0'), Buffer.from([0xff, 0x41]), Buffer.from('\0\0é\n\0')]);
    const [node, workload] = ['node-full', 'systemd/full.service'];
    const facts = {
      ...{ ts: ago(5), pid: 11, start_ns: 2n ** 63n - 1n, self_exec_id: 3, parent_pid: 10, parent_start_ns: 9n },
      ...{ parent_self_exec_id: 2, ppid: 12, uid: 1000, gid: 100, euid: 0, argc: 4, cwd: '/srv', path: '/opt/\xff' },
      ...{
        argv: argv.toString('latin1'),
        sha256: bytes(A),
        workload,
        filename: 'a',
        comm: 'a',
        parent_path: '/bin/sh',
      },
      ...{ package: 'deb:a:amd64', package_version: '1', package_match: 'match' },
      ...{ flags: flagBit('setuid') | flagBit('unlinked'), container_id: 'c0', image: 'sha256:1' },
      ...{ writer_pid: 9, writer_start_ns: 8n, writer_self_exec_id: 7, written_ns: 1_790_000_000_000_000_000n },
      writer_path: '/usr/bin/curl',
    };
    await send('exec', [facts], { node });
    const { items, coverage } = await list(`node=${node}`);
    const [{ event_id, ts, ...event }] = items;
    assert.match(event_id, /^[0-9a-f]{32}$/);
    assert.equal(Date.parse(ts), Number(ago(5) / 1_000_000n));
    assert.deepEqual(event, {
      ...{ type: 'exec', node, exec_id: `${BOOT}:11:${2n ** 63n - 1n}:3`, parent_exec_id: `${BOOT}:10:9:2` },
      ...{ pid: 11, ppid: 12, uid: 1000, gid: 100, euid: 0, path: '/opt/\\xff', filename: 'a', comm: 'a' },
      ...{ parent_path: '/bin/sh', argv: ['/opt/a', '\\xffA', '', 'é\\x0a'], argc: 4, cwd: '/srv', role: 'exec' },
      script_evidence: null,
      ...{
        count: null,
        sha256: A,
        digest: { source: 'held', strength: 'exact', reason: null },
        package: 'deb:a:amd64',
      },
      ...{ package_version: '1', package_match: 'match', package_algorithm: null, workload, container_id: 'c0' },
      ...{ image: 'sha256:1', container: null, exit_code: null, signal: null, flags: ['unlinked', 'setuid'] },
      ...{ action: null, target: null },
      written_by: { exec_id: `${BOOT}:9:8:7`, path: '/usr/bin/curl', at: '2026-09-21T14:13:20.000000000Z' },
    });
    assert.equal(coverage.events_stored, 1);
  });

  it('shows a change to code, and the writer of a file only where it is known', async () => {
    const node = 'node-changes';
    const file = {
      pid: 41,
      uid: 7,
      workload: 'systemd/app.service',
      path: '/opt/a',
      repeats: 3,
      flags: flagBit('in_use'),
    };
    await send('file', [{ ...file, ts: ago(4), action: FILE_ACTIONS.indexOf('replaced'), target: 'b' }], { node });
    await send('file', [{ ...file, ts: ago(5), action: 99, flags: 0 }], { node });
    await send('load', [{ ts: ago(6), pid: 42 }], { node });
    const { items } = await list(`node=${node}`);
    const [replaced, foreign, load] = items;
    assert.deepEqual(
      [replaced.type, replaced.action, replaced.target, replaced.count, replaced.flags, replaced.uid, replaced.path],
      ['file', 'replaced', 'b', 4, ['in_use'], 7, '/opt/a'],
    );
    assert.deepEqual([replaced.sha256, replaced.digest, replaced.role, replaced.written_by], [null, null, null, null]);
    assert.deepEqual([foreign.action, load.action, load.written_by], ['unknown', null, null]);
    assert.deepEqual(await pids(`node=${node}&type=file&flags=in_use`), [41]);
    assert.deepEqual(await pids(`node=${node}&type=file&sha256=${A}`), []);
  });

  it('filters by each parameter, and by several', async () => {
    const node = 'node-filters';
    const memfd = flagBit('memfd');
    await send(
      'exec',
      [
        { ts: ago(9), pid: 21, uid: 5, path: '/usr/bin/x', sha256: bytes(A), workload: 'session/eve', flags: memfd },
        { ts: ago(8), pid: 22, path: '/usr/lib/x*', sha256: bytes(B), flags: memfd | flagBit('unlinked') },
        { ts: ago(7), pid: 23, path: '/opt/\xfe', start_ns: 77n, self_exec_id: 4 },
      ],
      { node },
    );
    await send('load', [{ ts: ago(6), pid: 24, path: '/usr/bin/s.sh', uid: 5 }], { node });
    await send('exit', [{ ts: ago(5), pid: 21, exit_code: 3, signal: 9 }], { node });
    const of = (query: string) => pids(`node=${node}&${query}`);
    assert.deepEqual(await of(''), [21, 24, 23, 22, 21]);
    assert.deepEqual(await of('type=exit,load'), [21, 24]);
    assert.deepEqual(await of(`sha256=${A.toUpperCase()}`), [21]);
    assert.deepEqual(await of('workload=session%2Feve'), [21]);
    assert.deepEqual(await of(`exec_id=${BOOT}:23:77:4`), [23]);
    assert.deepEqual(await of(`exec_id=${BOOT}:23:77:5`), []);
    assert.deepEqual(await of('pid=21'), [21, 21]);
    assert.deepEqual(await of('uid=5'), [24, 21]);
    assert.deepEqual(await of('path=/usr/bin/x'), [21]);
    assert.deepEqual(await of('path=/usr/bin/*'), [24, 21]);
    assert.deepEqual(await of('path=%2Fopt%2F%5Cxfe'), [23]);
    assert.deepEqual(await of('flags=memfd'), [22, 21]);
    assert.deepEqual(await of('flags=memfd,unlinked'), [22]);
    assert.deepEqual(await of('since=now-450s&until=now-330s'), [24, 23]);
    assert.deepEqual(await of('uid=5&type=exec'), [21]);
    assert.deepEqual(await of(`sha256=${'0'.repeat(64)}`), []);
    const [exit] = (await list(`node=${node}&type=exit`)).items;
    assert.deepEqual([exit.exit_code, exit.signal, exit.sha256, exit.digest, exit.argv], [3, 9, null, null, null]);
  });

  it('looks back a day unless told otherwise', async () => {
    const node = 'node-old';
    await send(
      'exec',
      [
        { ts: ago(25 * 60), pid: 31 },
        { ts: ago(23 * 60), pid: 32 },
      ],
      { node },
    );
    assert.deepEqual(await pids(`node=${node}`), [32]);
    assert.deepEqual(await pids(`node=${node}&since=now-2d`), [32, 31]);
  });

  it('shows the digest that came late, and finds events by it', async () => {
    const node = 'node-late';
    const same = { pid: 41, start_ns: 5n, ts: ago(3) };
    await send(
      'exec',
      [
        { ...same, ...PENDING },
        { ...same, ...PENDING, self_exec_id: 2 },
      ],
      { node },
    );
    const script = { ...same, ...PENDING, role: 'script' };
    await send(
      'load',
      [
        { ...script, path: '/outer.sh' },
        { ...script, path: '/inner.sh' },
      ],
      { node },
    );
    const owner = { package: 'deb:a:amd64', package_version: '2', package_match: 'mismatch' };
    await send(
      'digest',
      [
        { ...same, ts: ago(2), role: 'exec', sha256: bytes(A), ...owner },
        { ...same, ts: ago(2), role: 'script', path: '/inner.sh', sha256: bytes(B) },
      ],
      { node },
    );
    const { items } = await list(`node=${node}&type=exec,load`);
    const shown = items.map(
      (event: { role: string; exec_id: string; path: string; sha256: string; digest: object }) => [
        event.exec_id.split(':').at(-1),
        event.path,
        event.sha256,
        event.digest,
      ],
    );
    const found = { source: 'held', strength: 'exact', reason: null };
    const pending = { source: null, strength: null, reason: 'pending' };
    const asText = (rows: unknown[]) => rows.map((row) => JSON.stringify(row)).sort();
    assert.deepEqual(
      asText(shown),
      asText([
        ['1', '/opt/a', A, found],
        ['2', '/opt/a', null, pending],
        ['1', '/inner.sh', B, found],
        ['1', '/outer.sh', null, pending],
      ]),
    );
    const [exec] = (await list(`node=${node}&sha256=${A}&type=exec`)).items;
    assert.deepEqual([exec.package, exec.package_match], ['deb:a:amd64', 'mismatch']);
    const scripts = (await list(`node=${node}&sha256=${B}`)).items;
    assert.deepEqual(
      scripts.map(({ type, path }: { type: string; path: string }) => [type, path]),
      [
        ['digest', '/inner.sh'],
        ['load', '/inner.sh'],
      ],
    );
  });

  it('pages through all once while newer and older ones come in', async () => {
    const node = 'node-pages';
    const at = ago(30);
    // The same time for many: order is by cpu, number and pid then, across all types.
    const row = (pid: number) => ({ ts: at + BigInt(pid % 3), cpu: pid % 2, cpu_seq: BigInt(pid >> 2), pid });
    await send(
      'exec',
      Array.from({ length: 20 }, (_, index) => row(index)),
      { node },
    );
    await send(
      'exit',
      Array.from({ length: 20 }, (_, index) => row(index)),
      { node },
    );
    await send(
      'load',
      Array.from({ length: 5 }, (_, index) => ({ ts: at, seq: BigInt(index), pid: index })),
      { node },
    );
    const whole = (await list(`node=${node}`)).items.map(({ event_id }: { event_id: string }) => event_id);
    assert.equal(new Set(whole).size, 45);
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = await list(`node=${node}&limit=4${cursor === '' ? '' : `&cursor=${cursor}`}`);
      seen.push(...page.items.map(({ event_id }: { event_id: string }) => event_id));
      cursor = page.next_cursor;
      await send(
        'exec',
        [
          { ts: ago(0) - 1_000_000_000n, pid: 99 },
          { ts: ago(29), pid: 98 },
        ],
        { node },
      );
    }
    assert.deepEqual(seen, whole);
  });
});
