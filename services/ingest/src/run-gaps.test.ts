import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { blankRow } from '@bintrail/schemas/event-rows.fixture.ts';
import { EVENTS } from '@bintrail/schemas/events.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import fc from 'fast-check';
import { createStoreEvents } from './events-stage.ts';
import { type Life, type Message, messagesOf } from './run-gaps.fixture.ts';
import { openTestStore, planOf, type TestStore } from './store.fixture.ts';

const START_MS = Date.now() - 3_600_000;
const NODE = { node: 'node-1', boot: 'boot-1' };
const IDLE = { before: 0, stored: 0, lost: 0, held: 0 };
const TABLES = [
  'batches',
  'probe_runs',
  'run_counts',
  'exec_events',
  'census_events',
  'loss_events',
  'heartbeat_events',
];

type Gap = { missed: string | null; unseen: string | null; reason: string; since_s: string; until_s: string | null };

describe('run_gaps', () => {
  let test: TestStore;
  let from = 0;
  before(async () => {
    test = await openTestStore();
  });
  after(() => test.close());
  beforeEach(async () => {
    for (const table of TABLES) await test.store.command(`TRUNCATE TABLE ${table}`);
  });

  let atMs = 0;
  beforeEach(() => {
    atMs = Date.now();
  });

  /** Each plan a list of messages, in this order. */
  const store = async (...plans: (readonly Message[])[]) => {
    for (const messages of plans) {
      await createStoreEvents(test.store)(
        planOf(
          messages.map(({ bytes }) => bytes),
          { from, atMs },
        ),
      );
      from += messages.length;
    }
  };
  const allGaps = () =>
    test.store.query<Gap>(
      `SELECT toString(missed) AS missed, toString(unseen) AS unseen, reason,
         toString(toUnixTimestamp(since) - ${Math.floor(START_MS / 1000)}) AS since_s,
         toString(toUnixTimestamp(until) - ${Math.floor(START_MS / 1000)}) AS until_s
       FROM run_gaps ORDER BY node, since`,
    );
  const shown = ({ missed, reason, since_s, until_s }: Gap) => `${since_s}-${until_s} ${missed ?? reason}`;
  const gaps = async () => (await allGaps()).filter(({ reason }) => reason !== 'silent').map(shown);
  const lives = (list: readonly Partial<Life>[], source: Partial<typeof NODE> = {}, startMs = START_MS) =>
    messagesOf(
      list.map((life) => ({ ...IDLE, ...life })),
      { ...NODE, ...source },
      startMs,
    );

  it('count what ran between two runs, what the first still held, and nothing else', async () => {
    await store(lives([{ before: 50, stored: 7, lost: 3 }, { before: 11, stored: 5, held: 4 }, { before: 0 }]));
    assert.deepEqual(await gaps(), ['10-20 11', '30-40 4']);
    const unseen = (await allGaps()).map((gap) => gap.unseen);
    assert.deepEqual(unseen.slice(0, 2), ['11', '4']);
  });

  it('shrink by rows that come late, and by what is told of lost ones', async () => {
    const [execs, ...told] = lives([{ stored: 6, lost: 2 }, { before: 9 }]);
    await store(told);
    assert.deepEqual(await gaps(), ['10-20 15']);
    await store([execs!]);
    assert.deepEqual(await gaps(), ['10-20 9']);
    await store([execs!], told);
    assert.deepEqual(await gaps(), ['10-20 9']);
  });

  it('are unknown until every CPU of the census is told', async () => {
    const messages = lives([{ stored: 1 }, { before: 4 }]);
    const header = { ...NODE, probeEpoch: BigInt(START_MS + 20_000), batchSeq: 90 };
    const half = { ts: BigInt(START_MS + 20_000) * 1_000_000n, cpu: 0, cpus: 2, census_id: 7n, taken_over: 2n };
    const bytes = encodeBatch(EVENTS.census, header, [blankRow(EVENTS.census, half)]);
    await store([...messages.filter(({ life }) => life === 0), { life: 1, bytes }]);
    assert.deepEqual(await gaps(), ['10-20 not_reported']);
    await store(messages);
    assert.deepEqual(await gaps(), ['10-20 4']);
  });

  it('do not count processes found at the start', async () => {
    const header = { ...NODE, probeEpoch: BigInt(START_MS), batchSeq: 90 };
    const row = blankRow(EVENTS.exec, { ts: BigInt(START_MS) * 1_000_000n, flags: flagBit('snapshot') });
    await store(lives([{ stored: 1 }, { before: 4 }]), [{ life: 0, bytes: encodeBatch(EVENTS.exec, header, [row]) }]);
    assert.deepEqual(await gaps(), ['10-20 4']);
  });

  it('take in a run that was killed before it told of its census', async () => {
    await store(lives([{ stored: 3 }, { before: 2, stored: 4, held: 1, untold: true }, { before: 8, stored: 1 }]));
    assert.deepEqual(await gaps(), ['10-40 11']);
  });

  it('are unknown where nobody counted, with the reason', async () => {
    const why = async (label: string, reason: string, change: (rows: Message[]) => Promise<void>) => {
      for (const table of TABLES) await test.store.command(`TRUNCATE TABLE ${table}`);
      await change(lives([{ stored: 2 }, { before: 4, stored: 1 }]));
      assert.deepEqual(await gaps(), [`10-20 ${reason}`], label);
    };
    const second = (rows: Message[]) => rows.filter(({ life }) => life === 1);
    const first = (rows: Message[]) => rows.filter(({ life }) => life === 0);
    const census = (life: number, part: object) => {
      const at = START_MS + life * 20_000;
      const header = { ...NODE, probeEpoch: BigInt(at), batchSeq: 90 };
      const facts = { ts: BigInt(at) * 1_000_000n, ...part };
      return { life, bytes: encodeBatch(EVENTS.census, header, [blankRow(EVENTS.census, facts)]) };
    };
    const sign = (life: number) => {
      const at = START_MS + life * 20_000;
      const header = { ...NODE, probeEpoch: BigInt(at), batchSeq: 91 };
      const rows = [0, life === 0 ? 10 : 0].map((s) =>
        blankRow(EVENTS.heartbeat, { ts: BigInt(at + s * 1000) * 1_000_000n }),
      );
      return { life, bytes: encodeBatch(EVENTS.heartbeat, header, rows) };
    };
    const none = { cpu: 0xffff_ffff, reason: 'no_bpffs' };
    const other = { cpu: 0, cpus: 1, census_id: 8n, taken_over: 1_000n };
    await why('the later has none', 'no_bpffs', (rows) => store([...first(rows), census(1, none), sign(1)]));
    await why('the earlier has none', 'no_bpffs', (rows) => store([census(0, none), sign(0), ...second(rows)]));
    await why('another census', 'census_removed', (rows) => store([...first(rows), census(1, other), sign(1)]));
    await why('it was not told', 'not_reported', (rows) => store([...first(rows), sign(1)]));
    await why('the census says less than there is', 'disagree', (rows) =>
      store([...first(rows), census(1, { ...other, census_id: 7n, taken_over: 1n }), sign(1)]),
    );
    await why('another boot', 'reboot', (rows) => {
      const later = second(lives([{ stored: 2 }, { before: 4 }], { boot: 'boot-2' }));
      return store([...first(rows), ...later]);
    });
  });

  it('are none while two probes run at once, and unknown after that', async () => {
    await store(lives([{ stored: 2 }]), lives([{ stored: 2 }], {}, START_MS + 5_000));
    assert.deepEqual(await gaps(), []);
    await store(lives([{ before: 3 }], {}, START_MS + 30_000));
    assert.deepEqual(await gaps(), ['15-30 two_probes']);
  });

  it('are of each node by itself', async () => {
    await store(lives([{ stored: 2 }, { before: 3 }]), lives([{ before: 9 }, { before: 1 }], { node: 'node-2' }));
    assert.deepEqual(await gaps(), ['10-20 3', '10-20 1']);
  });

  it('go on while the probe is away, but not where a replay ended', async () => {
    const [one, ...others] = lives([{ stored: 2 }]);
    atMs -= 61_000;
    await store(others);
    assert.deepEqual((await allGaps()).map(shown), ['10-null silent']);
    atMs += 50_000;
    await store([one!]);
    assert.deepEqual(await allGaps(), []);
    atMs -= 50_000;
    const header = { ...NODE, probeEpoch: BigInt(START_MS), batchSeq: 91 };
    const row = blankRow(EVENTS.heartbeat, { ts: 1n, mode: 'replay' });
    await store([{ life: 0, bytes: encodeBatch(EVENTS.heartbeat, header, [row]) }]);
    assert.deepEqual(await allGaps(), []);
  });

  it('are exact whatever the order of messages, repeated or not', async () => {
    const few = fc.nat({ max: 9 });
    const life = fc.record({ before: few, stored: few, lost: few, held: few });
    const cases = fc.record({
      list: fc.array(life, { minLength: 2, maxLength: 5 }),
      order: fc.infiniteStream(fc.nat()),
      cuts: fc.infiniteStream(fc.boolean()),
    });
    const property = fc.asyncProperty(cases, async ({ list, order, cuts }) => {
      for (const table of TABLES) await test.store.command(`TRUNCATE TABLE ${table}`);
      const messages = lives(list);
      const twice = [...messages, ...messages].map((message) => ({ message, rank: order.next().value as number }));
      const shuffled = twice.sort((a, b) => a.rank - b.rank).map(({ message }) => message);
      const plans: Message[][] = [[]];
      for (const message of shuffled) {
        if (cuts.next().value) plans.push([]);
        plans.at(-1)!.push(message);
      }
      await store(...plans.filter((plan) => plan.length > 0));
      const expected = list.slice(1).map((later, n) => `${n * 20 + 10}-${n * 20 + 20} ${later.before + list[n]!.held}`);
      assert.deepEqual(await gaps(), expected);
      await test.store.command('OPTIMIZE TABLE run_counts FINAL');
      assert.deepEqual(await gaps(), expected);
    });
    await fc.assert(property, { numRuns: 8 });
  });
});
