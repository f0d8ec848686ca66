import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { openTestApi, startParts, type TestApi, type TestParts } from '../api.fixture.ts';
import { BOOT, createSendEvents, type SendEvents } from '../events.fixture.ts';

const SNAPSHOT = { flags: flagBit('snapshot') };
const NOW_MS = Date.now();
const at = (second: number) => BigInt(NOW_MS - 600_000 + second * 1000) * 1_000_000n;

/** Image `self` of process `pid`, started by image `of[1]` of process `of[0]`. */
const image = (pid: number, self: number, of: readonly [number, number], more: object = {}) => ({
  ...{
    ts: at(pid + self),
    pid,
    start_ns: BigInt(pid) * 1000n,
    self_exec_id: self,
    ppid: of[0],
    path: `/bin/${pid}-${self}`,
  },
  ...{ parent_pid: of[0], parent_start_ns: BigInt(of[0]) * 1000n, parent_self_exec_id: of[1], ...more },
});
const idOf = (pid: number, self: number, boot = BOOT) => `${boot}:${pid}:${pid * 1000}:${self}`;

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

async function get(id: string) {
  const { status, json, text } = await api.ask(`/v1/processes/${encodeURIComponent(id)}`, { role: 'viewer' });
  assert.equal(status, 200, text);
  return json;
}

const ids = (events: { exec_id: string }[]) => events.map(({ exec_id }) => exec_id);

describe('a process', () => {
  it('has its images told apart, with what led to each', async () => {
    // 1 (found at the start) → 20 sh → exec true; sh had started 30 before.
    await send('exec', [image(1, 2, [0, 0], SNAPSHOT), image(20, 5, [1, 2]), image(20, 6, [1, 2])]);
    await send('exec', [image(30, 6, [20, 5]), image(31, 6, [20, 6])]);
    const script = { path: '/opt/x.sh', role: 'script' };
    await send('load', [{ ts: at(20), pid: 20, start_ns: 20_000n, self_exec_id: 5, ...script }]);
    const exit = { ts: at(60), pid: 20, start_ns: 20_000n, self_exec_id: 6, exit_code: 3 };
    await send('exit', [exit]);
    const sh = await get(idOf(20, 5));
    assert.equal(sh.path, '/bin/20-5');
    assert.deepEqual(ids(sh.ancestors), [idOf(1, 2)]);
    assert.equal(sh.ancestors_complete, true);
    assert.deepEqual(ids(sh.children), [idOf(30, 6)]);
    assert.deepEqual([sh.replaced, sh.replaced_by.exec_id], [null, idOf(20, 6)]);
    assert.deepEqual(
      sh.loads.map(({ path }: { path: string }) => path),
      ['/opt/x.sh'],
    );
    assert.deepEqual([sh.exit, sh.running, sh.truncated], [null, false, false]);
    const next = await get(idOf(20, 6));
    assert.deepEqual([next.replaced.exec_id, next.replaced_by], [idOf(20, 5), null]);
    assert.deepEqual(ids(next.children), [idOf(31, 6)]);
    assert.deepEqual([next.loads, next.running], [[], false]);
    const { ts, ...end } = next.exit;
    assert.deepEqual([end, Date.parse(ts)], [{ exit_code: 3, signal: 0 }, Number(at(60) / 1_000_000n)]);
    const leaf = await get(idOf(31, 6));
    assert.deepEqual(ids(leaf.ancestors), [idOf(20, 6), idOf(1, 2)]);
    assert.deepEqual([leaf.exit, leaf.running, leaf.as_of], [null, null, null]);
  });

  it('says when the chain breaks, and how deep it goes', async () => {
    const chain = Array.from({ length: 70 }, (_, index) => image(1000 + index, 1, [999 + index, 1]));
    await send('exec', chain);
    const deep = await get(idOf(1069, 1));
    assert.deepEqual(
      ids(deep.ancestors),
      Array.from({ length: 64 }, (_, index) => idOf(1068 - index, 1)),
    );
    assert.equal(deep.ancestors_complete, false);
    const orphan = await get(idOf(1001, 1));
    assert.deepEqual([ids(orphan.ancestors), orphan.ancestors_complete], [[idOf(1000, 1)], false]);
    await send('exec', [image(1100, 1, [1101, 1]), image(1101, 1, [1100, 1])]);
    assert.deepEqual(ids((await get(idOf(1100, 1))).ancestors), [idOf(1101, 1)]);
  });

  it('shows each image once, by its exec where that was seen', async () => {
    const found = (epoch: bigint) => send('exec', [image(40, 2, [1, 2], SNAPSHOT)], { probeEpoch: epoch });
    await send('exec', [image(40, 2, [1, 2], { ts: at(99) }), image(41, 3, [40, 2])]);
    await found(1n);
    await found(1n);
    const child = await get(idOf(41, 3));
    assert.deepEqual(ids(child.ancestors), [idOf(40, 2), idOf(1, 2)]);
    assert.deepEqual(child.ancestors[0].flags, []);
    assert.deepEqual((await get(idOf(40, 2))).flags, []);
    const children = ids((await get(idOf(1, 2))).children);
    assert.equal(children.filter((id) => id === idOf(40, 2)).length, 1);
  });

  it('knows its boot, and no other', async () => {
    const [node, old, boot] = ['node-boots', 'aaaaaaaa-0000', 'bbbbbbbb-0000'];
    await send('exec', [image(50, 1, [0, 0]), image(51, 1, [50, 1])], { node, boot: old, probeEpoch: 1n });
    await send('exec', [image(50, 1, [0, 0], { path: '/new' })], { node, boot, probeEpoch: 2n });
    assert.equal((await get(idOf(51, 1, old))).ancestors[0].path, '/bin/50-1');
    assert.equal((await get(idOf(51, 1, old))).running, false);
    const now = await get(idOf(50, 1, boot));
    assert.deepEqual([now.path, now.running, now.children], ['/new', null, []]);
  });

  it('cuts many children', async () => {
    await send('exec', [
      image(2000, 1, [0, 0]),
      ...Array.from({ length: 201 }, (_, n) => image(2001 + n, 1, [2000, 1])),
    ]);
    const { children, truncated } = await get(idOf(2000, 1));
    assert.deepEqual([children.length, children.at(-1).exec_id, truncated], [200, idOf(2200, 1), true]);
  });

  it('answers 404 for one nobody saw and 400 for what is no exec id', async () => {
    for (const id of [idOf(77, 1), idOf(1, 2, 'ffffffff-0000'), `${BOOT}:1:1000:3`]) {
      assert.equal((await api.ask(`/v1/processes/${id}`)).status, 404, id);
    }
    for (const id of ['1', "' OR 1=1 --", `${BOOT}:1:1000:x`, `${BOOT}:4294967296:1:1`, '{boot:String}', '\u0000']) {
      const { status, json } = await api.ask(`/v1/processes/${encodeURIComponent(id)}`);
      assert.equal(status, 400, id);
      assert.equal(json.errors[0].at, 'exec_id');
    }
  });
});
