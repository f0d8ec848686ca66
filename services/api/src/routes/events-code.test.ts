import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { openTestApi, startParts, type TestApi, type TestParts } from '../api.fixture.ts';
import { createSendEvents, PENDING, type SendEvents } from '../events.fixture.ts';

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

describe('events of code that was loaded', () => {
  it('shows loads that are only counted without a process, each with the digest that came late', async () => {
    const node = 'node-counted';
    const counted = { pid: 0, start_ns: 0n, self_exec_id: 0, role: 'library', path: '/lib/x.so', ...PENDING };
    const at = [ago(5), ago(4)];
    await send(
      'load',
      [
        { ...counted, ts: at[0]!, repeats: 6 },
        { ...counted, ts: at[1]!, repeats: 0 },
      ],
      { node },
    );
    const late = { ...counted, digest_reason: '', ts: ago(2), event_ts: at[0]!, repeats: 6, sha256: bytes(B) };
    await send('digest', [late], { node });
    const { items, coverage } = await list(`node=${node}&type=load`);
    type Shown = { exec_id: null; pid: number; count: number; sha256: string | null };
    assert.deepEqual(
      items.map(({ exec_id, pid, count, sha256 }: Shown) => [exec_id, pid, count, sha256]),
      [
        [null, 0, 1, null],
        [null, 0, 7, B],
      ],
    );
    assert.equal(coverage.events_stored, 8);
  });

  it('shows what was mapped before the probe once, however often it starts', async () => {
    const node = 'node-mapped';
    const flags = flagBit('snapshot');
    const found = {
      ts: ago(50),
      pid: 60,
      start_ns: 5n,
      role: 'library',
      digest_strength: '',
      digest_reason: 'snapshot',
      flags,
    };
    const own = {
      ...found,
      path: '/lib/seen.so',
      flags: 0,
      digest_strength: 'exact',
      digest_reason: '',
      sha256: bytes(A),
    };
    await send('load', [own], { node, probeEpoch: 1n });
    for (const probeEpoch of [2n, 3n]) {
      await send(
        'load',
        [
          { ...found, path: '/lib/seen.so' },
          { ...found, path: '/lib/old.so' },
        ],
        { node, probeEpoch },
      );
    }
    const { items } = await list(`node=${node}&type=load&since=now-2h`);
    const shown = items.map((item: Record<string, unknown>) => [item.path, item.flags]);
    assert.deepEqual(shown.sort(), [
      ['/lib/old.so', ['snapshot']],
      ['/lib/seen.so', []],
    ]);
  });

  it('says how a script is known', async () => {
    const node = 'node-scripts';
    await send(
      'load',
      [
        { path: '/opt/read.sh', script_evidence: 'read' },
        { path: '/lib/x.so', role: 'library' },
      ],
      { node },
    );
    const { items } = await list(`node=${node}&type=load&since=now-2h`);
    const shown = items.map((item: Record<string, unknown>) => [item.path, item.script_evidence]);
    assert.deepEqual(shown.sort(), [
      ['/lib/x.so', null],
      ['/opt/read.sh', 'read'],
    ]);
  });
});
