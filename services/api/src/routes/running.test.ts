/** Where a content still runs, and what of that can be said: exits get lost, probes stop, nodes boot. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { openTestApi, startParts, type TestApi, type TestParts } from '../api.fixture.ts';
import { BOOT, createSendEvents, PENDING, type SendEvents } from '../events.fixture.ts';

const NOW_MS = Date.now();
const at = (second: number) => BigInt(NOW_MS + second * 1000) * 1_000_000n;
const image = (pid: number, self_exec_id = 1) => ({ pid, start_ns: BigInt(pid) * 1000n, self_exec_id });
const FOUND = { ...PENDING, digest_reason: 'snapshot', flags: flagBit('snapshot') };

let parts: TestParts;
let api: TestApi;
let send: SendEvents;
let contents = 0;

before(async () => {
  parts = await startParts();
  api = await openTestApi(parts);
  send = createSendEvents(parts.store);
});
after(async () => {
  await api.close();
  await parts.stop();
});

const hex = (sha256: string) => Buffer.from(sha256, 'latin1').toString('hex');
function fresh(): string {
  contents += 1;
  return String.fromCharCode(contents).repeat(32);
}

type Source = Parameters<SendEvents>[2];

/** A look that found these, in as many messages as given. */
async function look(second: number, source: Source, ...messages: ReturnType<typeof image>[][]): Promise<void> {
  const images = messages.flat().length;
  for (const found of messages) {
    await send(
      'alive',
      found.map((row) => ({ ...row, images, ts: at(second) })),
      source,
    );
  }
}

async function running(sha256: string, on = api, query = '') {
  const { status, json, text } = await on.ask(`/v1/binaries/${hex(sha256)}?${query}`, { role: 'viewer' });
  assert.equal(status, 200, text);
  const { count, stale_count, processes } = json.running;
  const pids = processes.map(({ pid, stale }: { pid: number; stale: boolean }) => (stale ? -pid : pid)).sort();
  return { count, stale_count, pids, processes };
}

async function process(pid: number, boot: string, on = api, self = 1): Promise<[boolean | null, number | null]> {
  const { json } = await on.ask(`/v1/processes/${boot}:${pid}:${pid * 1000}:${self}`, { role: 'viewer' });
  return [json.running, json.as_of === null ? null : Date.parse(json.as_of) - NOW_MS];
}

describe('running', () => {
  it('is what neither ended nor was replaced, in the newest boot', async () => {
    const sha256 = fresh();
    const [node, boot] = ['run-a', '99999999-2222-3333-4444-555555555555'];
    await send('exec', [{ sha256, ...image(1), ts: at(-9000) }], { node, probeEpoch: 1n });
    const source = { node, boot, probeEpoch: 2n };
    await send(
      'exec',
      [
        { sha256, ...image(2), ts: at(-7200) },
        { sha256, ...image(3), ts: at(-3600) },
        { sha256, ...image(4), ts: at(-3600) },
        { sha256: fresh(), ...image(4, 2), ts: at(-3500) },
        { sha256: fresh(), ...image(5), ts: at(-9000) },
        { sha256, ...image(5, 2), ts: at(-8000), workload: 'host' },
        { ...PENDING, ...image(6), ts: at(-3600) },
      ],
      source,
    );
    await send('load', [{ sha256, ...image(7), ts: at(-3600), path: '/opt/a.sh' }], source);
    await send('digest', [{ sha256, ...image(6), event_ts: at(-3600), role: 'exec' }], source);
    // The same process number came again later: not this process.
    await send('exit', [image(3), { ...image(2), start_ns: 99n }], source);
    await look(-30, source, [image(2), image(4, 2), image(5, 2)], [image(6), image(7)]);
    const found = await running(sha256);
    assert.deepEqual(found.pids, [2, 5, 6, 7]);
    assert.deepEqual([found.count, found.stale_count], [4, 0]);
    assert.deepEqual((await running(sha256, api, 'workload=host')).pids, [5]);
    const oldest = found.processes.at(-1);
    assert.deepEqual([oldest.exec_id, oldest.workload, oldest.node], [`${boot}:5:5000:2`, 'host', node]);
    assert.deepEqual([oldest.since, oldest.as_of].map(Date.parse), [NOW_MS - 8_000_000, NOW_MS - 30_000]);
    assert.deepEqual(await process(1, BOOT), [false, null]);
    assert.deepEqual(await process(5, boot, api, 2), [true, -30_000]);
  });

  it('is over with the next whole look, whose exit was lost', async () => {
    const sha256 = fresh();
    const [node, boot] = ['run-lost', 'aaaaaaaa-0001'];
    const source = { node, boot };
    await send(
      'exec',
      [1, 2, 3].map((pid) => ({ sha256, ...image(pid), ts: at(-100) })),
      source,
    );
    await look(-90, source, [image(1), image(2), image(3)]);
    assert.deepEqual((await running(sha256)).pids, [1, 2, 3]);
    // Half of a look says nothing of who is not in it.
    await send('alive', [{ ...image(1), images: 2, ts: at(-30) }], source);
    assert.deepEqual((await running(sha256)).pids, [1, 2, 3]);
    assert.deepEqual(await process(3, boot), [true, -90_000]);
    await send('alive', [{ ...image(2), images: 2, ts: at(-30) }], source);
    const later = await running(sha256);
    assert.deepEqual([later.count, later.pids], [2, [1, 2]]);
    assert.deepEqual(await process(3, boot), [false, -30_000]);
    // What began after the look may run, and ends with its own exit.
    await send(
      'exec',
      [4, 5].map((pid) => ({ sha256, ...image(pid), ts: at(-20) })),
      source,
    );
    await send('exit', [{ ...image(5), ts: at(-10) }], source);
    assert.deepEqual((await running(sha256)).pids, [1, 2, 4]);
    assert.deepEqual(await process(4, boot), [true, -30_000]);
  });

  it('is not claimed of a node that has fallen silent, nor of one that never looked', async () => {
    const sha256 = fresh();
    const [node, boot] = ['run-silent', 'aaaaaaaa-0002'];
    await send(
      'exec',
      [1, 2].map((pid) => ({ sha256, ...image(pid), ts: at(-100) })),
      { node, boot },
    );
    await look(-60, { node, boot }, [image(1)]);
    const mute = { node: 'run-mute', boot: 'aaaaaaaa-0003' };
    await send('exec', [{ sha256, ...image(3), ts: at(-100) }], mute);
    const now = await running(sha256);
    assert.deepEqual([now.count, now.stale_count, now.pids], [1, 1, [-3, 1]]);
    assert.deepEqual(
      now.processes.map(({ as_of }: { as_of: string | null }) => as_of === null),
      [false, true],
    );
    const later = await openTestApi(parts, { clock: () => Date.now() + 200_000 });
    const then = await running(sha256, later);
    assert.deepEqual([then.count, then.stale_count, then.pids], [0, 2, [-1, -3]], 'what was gone stays gone');
    assert.deepEqual(await process(1, boot, later), [null, -60_000]);
    assert.deepEqual(await process(2, boot, later), [false, -60_000]);
    assert.deepEqual(await process(3, mute.boot, later), [null, null]);
    await later.close();
  });

  it('outlives the probe where the next one finds it again, counted once', async () => {
    const sha256 = fresh();
    const [node, boot] = ['run-again', 'aaaaaaaa-0004'];
    const [first, second] = [1n, 2n].map((probeEpoch) => ({ node, boot, probeEpoch }));
    await send(
      'exec',
      [1, 2].map((pid) => ({ sha256, ...image(pid), ts: at(-300), path: '/opt/again' })),
      first,
    );
    await look(-290, first, [image(1), image(2)]);
    // The probe is killed, then 2; the next probe finds 1 again, and 3, which began in between.
    const found = [1, 3].map((pid) => ({ ...FOUND, ...image(pid), ts: at(-60), path: '/opt/again' }));
    await send('exec', found, second);
    await look(-60, second, [image(1), image(3)]);
    const now = await running(sha256);
    assert.deepEqual([now.count, now.pids], [1, [1]]);
    assert.deepEqual(await process(1, boot), [true, -60_000]);
    assert.deepEqual(await process(2, boot), [false, -60_000]);
    assert.deepEqual(await process(3, boot), [true, -60_000]);
    const { json } = await api.ask(`/v1/binaries?path=/opt/again`);
    assert.deepEqual(
      json.items.map(({ exec_count }: { exec_count: number }) => exec_count),
      [2],
      'the runs are counted once',
    );
  });

  it('ends with the boot, whatever the last look of the old one said', async () => {
    const sha256 = fresh();
    const node = 'run-boots';
    const [old, boot] = ['aaaaaaaa-0005', 'aaaaaaaa-0006'];
    await send('exec', [{ sha256, ...image(1), ts: at(-100) }], { node, boot: old, probeEpoch: 1n });
    await look(-90, { node, boot: old, probeEpoch: 1n }, [image(1)]);
    assert.deepEqual((await running(sha256)).pids, [1]);
    await look(-10, { node, boot, probeEpoch: 2n }, [image(7)]);
    assert.deepEqual((await running(sha256)).pids, []);
    assert.deepEqual(await process(1, old), [false, -90_000]);
  });
});

describe('the list of events', () => {
  it('shows a process found at the start of a probe once, and by its exec where that is stored', async () => {
    const [node, boot] = ['list-again', 'aaaaaaaa-0007'];
    await send('exec', [{ ...image(1), ts: at(-500) }], { node, boot, probeEpoch: 1n });
    for (const epoch of [2n, 3n]) {
      const found = [1, 2].map((pid) => ({ ...FOUND, ...image(pid), ts: at(-400 + Number(epoch)) }));
      await send('exec', found, { node, boot, probeEpoch: epoch });
    }
    await send('exec', [{ ...FOUND, ...image(3), ts: at(-397) }], { node, boot, probeEpoch: 3n });
    const list = async (query: string) => {
      const { json } = await api.ask(`/v1/events?node=${node}&${query}`);
      return json.items.map(({ pid, ts }: { pid: number; ts: string }) => [pid, (Date.parse(ts) - NOW_MS) / 1000]);
    };
    assert.deepEqual(await list(''), [
      [3, -397],
      [2, -398],
      [1, -500],
    ]);
    assert.deepEqual(await list('flags=snapshot&pid=1'), []);
    const first = (await api.ask(`/v1/events?node=${node}&limit=1`)).json;
    assert.deepEqual(await list(`limit=2&cursor=${encodeURIComponent(first.next_cursor)}`), [
      [2, -398],
      [1, -500],
    ]);
  });
});
