import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { openTestApi, startParts, type TestApi, type TestParts } from '../api.fixture.ts';
import { createSendEvents, PENDING, type SendEvents } from '../events.fixture.ts';

const MINUTE_MS = 60_000;
// Five whole minutes that are over; counters and events stand in them by number.
const START_MS = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS - 60 * MINUTE_MS;
const at = (minute: number, second = 0) => BigInt(START_MS + minute * MINUTE_MS + second * 1000) * 1_000_000n;
const time = (minute: number, second = 0) => new Date(START_MS + minute * MINUTE_MS + second * 1000).toISOString();

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

const counter = (ts: bigint, cpu: number, seen: bigint, lost = 0n, more: object = {}) => ({
  ...{ ts, cpu, event_type: 'exec', place: 'ring', seen, sent: seen - lost, lost, ...more },
});

async function list(query: string) {
  const { status, json, text } = await api.ask(`/v1/coverage?${query}`, { role: 'viewer' });
  assert.equal(status, 200, text);
  return json;
}

describe('coverage', () => {
  it('takes what was counted in the window, over CPUs, places and runs of the probe', async () => {
    const node = 'node-counters';
    await send('loss', [counter(at(0), 0, 100n, 1n), counter(at(0), 1, 50n)], { node, probeEpoch: 1n });
    // Reordered and doubled: the highest counts.
    const late = counter(at(2), 0, 120n, 4n);
    await send('loss', [late, counter(at(1), 0, 110n, 2n), late, counter(at(2), 1, 55n)], { node, probeEpoch: 1n });
    await send('loss', [counter(at(3), 0, 7n, 1n)], { node, probeEpoch: 2n });
    const outbox = { event_type: 'exec', place: 'outbox', cpu: 0xffff_ffff };
    await send('loss', [counter(at(3), 0, 3n, 3n, outbox)], { node, probeEpoch: 2n });
    const descriptors = { event_type: 'digest', place: 'fanotify', cpu: 0xffff_ffff };
    await send('loss', [counter(at(3), 0, 9n, 2n, descriptors)], { node, probeEpoch: 2n });
    const of = async (since: string, until: string) => {
      const { items, coverage } = await list(`node=${node}&since=${since}&until=${until}`);
      const { seen, lost, ratio } = items[0] ?? { seen: 0, lost: 0, ratio: null };
      assert.deepEqual([coverage.events_seen, coverage.events_lost, coverage.ratio], [seen, lost, ratio]);
      return [seen, lost, ratio];
    };
    assert.deepEqual(await of(time(0), time(5)), [182, 8, 1 - 8 / 182]);
    assert.deepEqual(await of(time(1), time(3)), [25, 3, 1 - 3 / 25]);
    assert.deepEqual(await of(time(1), time(2)), [10, 1, 0.9]);
    assert.deepEqual(await of(time(3), time(4)), [7, 4, 1 - 4 / 7]);
    // Whole minutes at both ends.
    assert.deepEqual(await of(time(1, 30), time(2, 30)), [25, 3, 1 - 3 / 25]);
    assert.deepEqual(await of(time(4), time(5)), [0, 0, null]);
    const [{ events }] = (await list(`node=${node}&since=${time(3)}`)).items;
    assert.deepEqual(events, [
      { type: 'digest', seen: 0, stored: 0, lost: 2, places: [{ place: 'fanotify', seen: 9, lost: 2 }] },
      {
        ...{ type: 'exec', seen: 7, stored: 0, lost: 4 },
        places: [
          { place: 'outbox', seen: 3, lost: 3 },
          { place: 'ring', seen: 7, lost: 1 },
        ],
      },
    ]);
  });

  it('counts what is stored in the same minutes, and digests by strength and reason', async () => {
    const node = 'node-stored';
    const same = { pid: 7, start_ns: 1n };
    const missing = { digest_source: '', digest_strength: '', digest_reason: 'vanished' };
    await send(
      'exec',
      [
        { ts: at(1, 5), pid: 1 },
        { ts: at(1, 50), pid: 2, digest_strength: 'racy' },
        { ts: at(1), pid: 3, ...missing },
        { ts: at(1), ...same, ...PENDING },
        { ts: at(1), pid: 9, ...PENDING },
        { ts: at(1), pid: 4, flags: flagBit('snapshot') },
        { ts: at(2), pid: 5 },
      ],
      { node },
    );
    await send(
      'exit',
      [
        { ts: at(1, 59), pid: 1 },
        { ts: at(0, 59), pid: 1 },
      ],
      { node },
    );
    await send('load', [{ ts: at(1), pid: 1, digest_strength: 'alive' }], { node });
    await send('digest', [{ ...same, ts: at(3), event_ts: at(1), role: 'exec', digest_strength: 'metadata' }], {
      node,
    });
    const [of] = (await list(`node=${node}&since=${time(1, 30)}&until=${time(1, 31)}`)).items;
    assert.deepEqual([of.stored, of.seen, of.ratio], [6, 0, null]);
    assert.deepEqual(of.digests, {
      ratio: 4 / 6,
      strengths: { alive: 1, exact: 1, metadata: 1, racy: 1 },
      missing: { pending: 1, vanished: 1 },
    });
  });

  it('shows messages that never came', async () => {
    const node = 'node-gaps';
    for (let n = 0; n < 2; n++) {
      await send('exec', [{ ts: at(1), pid: n }], { node });
      // The next two numbers are another node's.
      await send('exec', [{ ts: at(1) }, { ts: at(1) }], { node: 'node-other' });
      await send('exec', [{ ts: at(1) }], { node: 'node-other' });
    }
    const [of] = (await list(`node=${node}`)).items;
    assert.deepEqual(of.batch_gaps, { gaps: 1, messages: 2 });
    const [before] = (await list(`node=${node}&until=now-1m`)).items;
    assert.deepEqual(before.batch_gaps, { gaps: 0, messages: 0 });
  });

  it('pages by node, and keeps its window', async () => {
    const all = (await list('')).items.map(({ node }: { node: string }) => node);
    assert.deepEqual(all, all.toSorted());
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page = await list(`limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`);
      seen.push(...page.items.map(({ node }: { node: string }) => node));
      cursor = page.next_cursor;
    }
    assert.deepEqual(seen, all);
    assert.deepEqual((await list('node=nowhere')).items, []);
    assert.deepEqual((await list('since=2200-01-01T00:00:00Z')).items, []);
    for (const query of ['since=x', "node=a&until='%20OR%201=1", 'limit=x', 'cursor=x', 'workload=host']) {
      assert.equal((await api.ask(`/v1/coverage?${query}`)).status, 400, query);
    }
    for (const text of ["' OR 1=1 --", '{node:String}', "\\'"]) {
      assert.deepEqual((await list(`node=${encodeURIComponent(text)}`)).items, []);
    }
  });
});

describe('nodes', () => {
  it('shows the newest heartbeat of each, and what was lost in a day', async () => {
    const beat = (second: number, depth: bigint) => ({
      ...{ ts: BigInt(Date.now() - 3_600_000 + second * 1000) * 1_000_000n, seq: BigInt(second), outbox_depth: depth },
      ...{ probe_version: '0.1.0', hooks: 'tracepoint', kernel: '6.18.0', mode: 'live', waiting_digests: 3 },
    });
    const rows = [beat(1, 5n), beat(9, 8n)];
    await send('heartbeat', rows, { node: 'beat-a', probeEpoch: 1n });
    await send('heartbeat', [beat(3, 1n)], { node: 'beat-b', probeEpoch: 5n });
    await send('loss', [counter(at(1), 0, 30n, 6n), counter(at(-24 * 60), 0, 20n, 5n)], { node: 'beat-a' });
    const { json } = await api.ask('/v1/nodes', { role: 'viewer' });
    assert.deepEqual(
      json.items.map(({ node }: { node: string }) => node),
      ['beat-a', 'beat-b'],
    );
    const { last_heartbeat, ...first } = json.items[0];
    assert.equal(Date.parse(last_heartbeat), Number(rows[1]!.ts / 1_000_000n));
    assert.deepEqual(first, {
      ...{ node: 'beat-a', silent: false, probe_version: '0.1.0', hooks: 'tracepoint', kernel: '6.18.0', mode: 'live' },
      ...{ boot: '11111111-2222-3333-4444-555555555555', probe_epoch: 1, outbox_depth: 8, waiting_digests: 3 },
      ...{ held_descriptors: 0, loss: 1, gaps: { count: 0, unknown: 0, missed: 0 } },
    });
    const page = (await api.ask('/v1/nodes?limit=1')).json;
    const rest = (await api.ask(`/v1/nodes?limit=1&cursor=${page.next_cursor}`)).json;
    assert.deepEqual([page.items[0].node, rest.items[0].node, rest.next_cursor], ['beat-a', 'beat-b', null]);
    assert.deepEqual((await api.ask('/v1/nodes?node=beat-b')).json.items[0].outbox_depth, 1);
    assert.deepEqual((await api.ask(`/v1/nodes?node=${encodeURIComponent("' OR 1=1 --")}`)).json.items, []);
    assert.equal((await api.ask('/v1/nodes?cursor=x')).status, 400);
  });

  it('says who fell silent', async () => {
    const later = await openTestApi(parts, { clock: () => Date.now() + 61_000 });
    const { json } = await later.ask('/v1/nodes?node=beat-a');
    assert.equal(json.items[0].silent, true);
    await later.close();
  });
});
