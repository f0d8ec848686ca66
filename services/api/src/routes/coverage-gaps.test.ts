import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openTestApi, startParts, type TestApi, type TestParts } from '../api.fixture.ts';
import { createSendEvents, type SendEvents } from '../events.fixture.ts';

const MINUTE_MS = 60_000;
const START_MS = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS - 60 * MINUTE_MS;
const at = (minute: number, second = 0) => BigInt(START_MS + minute * MINUTE_MS + second * 1000) * 1_000_000n;
const time = (minute: number) => new Date(START_MS + minute * MINUTE_MS).toISOString();
const nanoTime = (minute: number) => time(minute).replace('Z', '000000Z');

describe('times without a probe', () => {
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

  const list = async (query: string) => {
    const { status, json, text } = await api.ask(`/v1/coverage?${query}`, { role: 'viewer' });
    assert.equal(status, 200, text);
    return json;
  };
  const counter = (ts: bigint, cpu: number, seen: bigint, lost = 0n) => ({
    ...{ ts, cpu, event_type: 'exec', place: 'ring', seen, sent: seen - lost, lost },
  });

  it('counts what the census counted between two runs as lost', async () => {
    const node = 'node-restarted';
    const counted = (ts: bigint, taken_over: bigint, part: object = {}) => ({
      ...{ ts, cpu: 0, cpus: 1, census_id: 5n, taken_over, ...part },
    });
    const run = async (minute: number, rows: ReturnType<typeof counted>[]) => {
      const probeEpoch = at(minute) / 1_000_000n;
      await send('census', rows, { node, probeEpoch });
      await send('heartbeat', [{ ts: at(minute), mode: 'live' }], { node, probeEpoch });
      return { node, probeEpoch };
    };
    const first = await run(0, [counted(at(0), 100n), counted(at(1), 100n)]);
    await send('loss', [counter(at(1), 0, 8n, 2n)], first);
    await send(
      'exec',
      [1, 2, 3, 4].map((second) => ({ ts: at(0, second) })),
      first,
    );
    const second = await run(3, [counted(at(3), 120n), counted(at(3, 30), 120n)]);
    await send('loss', [counter(at(4), 0, 30n)], second);
    // 20 ran from one taking over to the other: 4 are stored, 2 were told as lost; 8 of them were seen.
    const known = { since: nanoTime(1), until: nanoTime(3), missed: 14, reason: null };
    const { items, coverage } = await list(`node=${node}&since=${time(0)}&until=${time(5)}`);
    assert.deepEqual(items[0].gaps, { count: 1, unknown: 0, missed: 14, newest: [known] });
    const { seen, lost, ratio } = items[0];
    assert.deepEqual({ seen, lost, ratio }, { seen: 50, lost: 16, ratio: 1 - 16 / 50 });
    assert.deepEqual(items[0].events[0].places, [
      { place: 'ring', seen: 38, lost: 2 },
      { place: 'gap', seen: 12, lost: 14 },
    ]);
    assert.deepEqual(coverage.gaps, { count: 1, unknown: 0, missed: 14 });
    assert.deepEqual([coverage.events_seen, coverage.events_lost, coverage.ratio], [50, 16, 1 - 16 / 50]);
    const within = (await list(`node=${node}&since=${time(2)}&until=${time(3)}`)).items[0];
    assert.deepEqual([within.lost, within.gaps.count], [14, 1]);
    const after = (await list(`node=${node}&since=${time(4)}&until=${time(5)}`)).items[0];
    assert.deepEqual([after.lost, after.gaps.newest], [0, []]);

    await run(5, [counted(at(5), 0n, { cpu: 0xffff_ffff, cpus: 0, census_id: 0n, reason: 'no_bpffs' })]);
    const unknown = (await list(`node=${node}&since=${time(0)}&until=${time(6)}`)).items[0].gaps;
    const noNumber = { since: nanoTime(4), until: nanoTime(5), missed: null, reason: 'no_bpffs' };
    assert.deepEqual(unknown, { count: 2, unknown: 1, missed: 14, newest: [noNumber, known] });
    const { json } = await api.ask(`/v1/binaries?node=${node}&since=${time(0)}`);
    assert.deepEqual(json.coverage.gaps, { count: 2, unknown: 1, missed: 14 });
    const nodes = (await api.ask(`/v1/nodes?node=${node}`)).json.items;
    assert.deepEqual([nodes[0].loss, nodes[0].gaps], [16, { count: 2, unknown: 1, missed: 14 }]);
  });
});
