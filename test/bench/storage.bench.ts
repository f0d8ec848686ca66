/** What a stored event takes on disk, to write and to read, by how its columns are compressed. */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { eventBlock } from '@bintrail/ingest/event-block.ts';
import { openTestStore } from '@bintrail/ingest/store.fixture.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { exec } from '@bintrail/schemas/exec.ts';
import { exit } from '@bintrail/schemas/exit.ts';
import { createFleet } from '@bintrail/test/fleet/fleet.ts';
import type { Bench, Figure } from './bench.ts';
import { storedMessages } from './ingest-load.ts';
import { readWork } from './questions.ts';
import { ratios, summarize } from './stats.ts';

const NODES = 500;
const EXECS = 400_000;
/** Rows of one insert, as a plan of a busy ingest has. */
const PLAN_EXECS = 40_000;
const MAX_ROWS = 64;
const ROUNDS = 3;
const IDLE_POLL_MS = 200;

type Column = { readonly name: string; readonly type: string };
type Variant = { readonly what: string; readonly codec: (column: Column) => string };

/** Grow with the events of a node or a process. */
const GROWING = /^(ts|start_ns|parent_start_ns|cpu_seq|ingested_at|ctime_ns|mtime_ns)$/;
const LZ4: Variant = { what: 'LZ4, what ClickHouse does by default', codec: () => 'LZ4' };
/** Migration 0015. */
const CHOSEN: Variant = {
  what: 'ZSTD(1), times and counters by Delta (as Bintrail does)',
  codec: ({ name }) => (GROWING.test(name) ? 'Delta, ZSTD(1)' : 'ZSTD(1)'),
};
const VARIANTS: readonly Variant[] = [
  { what: 'ZSTD(1)', codec: () => 'ZSTD(1)' },
  { what: 'ZSTD(3)', codec: () => 'ZSTD(3)' },
  CHOSEN,
  {
    what: 'ZSTD(1), times and counters by DoubleDelta',
    codec: ({ name }) => (GROWING.test(name) ? 'DoubleDelta, ZSTD(1)' : 'ZSTD(1)'),
  },
  {
    what: 'LZ4, arguments and times by ZSTD(1)',
    codec: ({ name }) => (name === 'argv' || GROWING.test(name) ? 'ZSTD(1)' : 'LZ4'),
  },
];

const TABLES = [exec, exit] as const;
type Definition = (typeof TABLES)[number];
type Cost = { readonly bytes: number; readonly writeCpuUs: number; readonly readCpuUs: number };

async function run(): Promise<Figure[]> {
  const { store, close } = await openTestStore();
  const figures: Figure[] = [];
  const plans = makePlans();
  for (const definition of TABLES) {
    const blocks = plans.map((plan) => plan.get(definition)!);
    const costs = new Map([LZ4, ...VARIANTS].map((variant) => [variant, [] as Cost[]]));
    for (let round = 0; round < ROUNDS; round++)
      for (const [variant, found] of costs) found.push(await measure(store, definition, variant, blocks));
    for (const variant of VARIANTS)
      figures.push(...figuresOf(definition, variant, costs.get(variant)!, costs.get(LZ4)!));
  }
  await close();
  return figures;
}

type Block = { readonly rows: number; readonly bytes: Uint8Array };

/** Native blocks of what a fleet sends, a plan each. */
function makePlans(): Map<Definition, Block>[] {
  const fleet = createFleet({ seed: 11, nodes: NODES, workloads: 100, startMs: Date.now(), maxRows: MAX_ROWS });
  return Array.from({ length: EXECS / PLAN_EXECS }, () => {
    const messages = fleet.send(PLAN_EXECS);
    return new Map(
      TABLES.map((definition) => {
        const stored = storedMessages(definition, messages);
        const rows = stored.reduce((sum, { rows }) => sum + rows, 0);
        return [definition, { rows, bytes: eventBlock(definition, stored, Date.now()) }];
      }),
    );
  });
}

/** A table of its own without views or projections; a row's share of everything. */
async function measure(
  store: Store,
  { table }: Definition,
  { codec }: Variant,
  blocks: readonly Block[],
): Promise<Cost> {
  const name = `${table}_compressed`;
  await store.command(`CREATE TABLE ${name} AS ${table}`);
  const columns = await store.query<Column>(
    'SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {name:String}',
    { name },
  );
  const changes = columns.map((column) => `MODIFY COLUMN ${column.name} ${column.type} CODEC(${codec(column)})`);
  await store.command(`ALTER TABLE ${name} ${changes.join(', ')}`);
  const rows = blocks.reduce((sum, block) => sum + block.rows, 0);
  const writeMs = await cpuMs(store, async () => {
    for (const { bytes } of blocks) await store.insertNative(name, bytes, randomBytes(16).toString('hex'));
    await store.command(`OPTIMIZE TABLE ${name} FINAL`);
  });
  const [disk] = await store.query<{ bytes: string }>(
    'SELECT toString(sum(data_compressed_bytes)) AS bytes FROM system.parts WHERE active AND database = currentDatabase() AND table = {name:String}',
    { name },
  );
  const readMs = await cpuMs(store, async () => {
    await store.query(`SELECT sum(cityHash64(*)) FROM ${name} SETTINGS max_threads = 1`);
  });
  await store.command(`DROP TABLE ${name} SYNC`);
  return {
    bytes: Number(disk!.bytes) / rows,
    writeCpuUs: (writeMs * 1_000) / rows,
    readCpuUs: (readMs * 1_000) / rows,
  };
}

async function cpuMs(store: Store, work: () => Promise<void>): Promise<number> {
  await delay(IDLE_POLL_MS);
  const before = await readWork(store);
  await work();
  return (await readWork(store)).cpuMs - before.cpuMs;
}

function figuresOf({ table }: Definition, variant: Variant, ours: readonly Cost[], lz4: readonly Cost[]): Figure[] {
  const compare = (of: string, unit: string, pick: (cost: Cost) => number): Figure => {
    const [a, b] = [ours.map(pick), lz4.map(pick)];
    const baseline = { what: LZ4.what, value: summarize(b) };
    return { what: `${table}, ${variant.what}: ${of}`, unit, value: summarize(a), baseline, ratio: ratios(a, b) };
  };
  const onDisk = compare('on disk', 'B/row', ({ bytes }) => bytes);
  if (variant !== CHOSEN) return [onDisk];
  return [
    onDisk,
    compare('to insert and merge', 'µs CPU/row', ({ writeCpuUs }) => writeCpuUs),
    compare('to read every column', 'µs CPU/row', ({ readCpuUs }) => readCpuUs),
  ];
}

export const bench: Bench = {
  name: 'storage',
  title: 'Storage',
  method:
    `${EXECS.toLocaleString('en-US')} execs of a simulated fleet of ${NODES} nodes (test/src/fleet) and their exits, ${PLAN_EXECS.toLocaleString('en-US')} execs an insert, into a table without views, ` +
    `merged into one part, then read whole by one thread; ${ROUNDS} rounds over all ways to compress. CPU time is the engine's own counter.`,
  run,
};
