/** What a flood of files costs the probe beside a storm of execs, and what leaving out repeats saves. */
import { mkdirSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { constants, zstdCompressSync } from 'node:zlib';
import type { RepeatFilter } from '@bintrail/probe/repeat-filter.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { type Batch, decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { bigAt, numberAt, textAt } from '@bintrail/schemas/row.ts';
import { COMPACTED_TOPICS, TOPICS } from '@bintrail/schemas/topics.ts';
import { whyNotHere } from '../src/kernel/probe-kit.ts';
import { type Flood, prepareFlood } from '../src/storm/flood-kit.ts';
import { prepareStorm, type Storm } from '../src/storm/storm-kit.ts';
import type { Bench, Figure } from './bench.ts';
import { cpuNs, startProbeProcess } from './probe-process.ts';
import { alternate, ratios, single, summarize } from './stats.ts';
import { numberText } from './table.ts';
import { tempFolder } from './temp-folder.ts';

const FILES = 50_000;
const EXECUTABLE_EVERY = 5;
const SOURCES = 40;
const [LOOPS, EXECS_PER_LOOP, PROGRAMS] = [2, 5_000, 200];
/** Programs that are written to again and again while the archive is unpacked, and how often. */
const [AGAIN, ROUNDS] = [1_000, 100];
const PAIRS = 2;
const SHIPPED: RepeatFilter = { changes: 16_384, uses: 8_192, repeatAfterNs: 10_000_000_000n };
/** A change is one all the same where its time is set several times: the map stays. */
const NONE: RepeatFilter = { changes: 16_384, uses: 1, repeatAfterNs: 0n };
/** None, the sizes in bpf/, smaller ones and a larger one. */
const SIZES: readonly RepeatFilter[] = [
  NONE,
  { ...SHIPPED, changes: 256, uses: 64 },
  { ...SHIPPED, changes: 1_024, uses: 256 },
  { ...SHIPPED, changes: 4_096, uses: 1_024 },
  SHIPPED,
  { ...SHIPPED, changes: 65_536, uses: 32_768 },
];
const FILTERED_PROBE = fileURLToPath(new URL('./filtered-probe.child.ts', import.meta.url));
/** A probe that has sent what it read takes less than this share of a core in so long. */
const [CALM_SHARE, LOOK_MS] = [0.05, 1_500];

type Course = Shipped & { readonly ran: number; readonly cpuS: number };

async function figures(): Promise<Figure[]> {
  const folder = tempFolder('flood');
  mkdirSync(join(folder, 'programs'));
  const storm = await prepareStorm(join(folder, 'tools'), join(folder, 'programs'), PROGRAMS);
  const flood = await prepareFlood(folder, {
    files: FILES,
    executableEvery: EXECUTABLE_EVERY,
    sources: SOURCES,
    look: '/',
  });
  const all = (filter: RepeatFilter) => course(folder, filter, storm, flood);
  const { a, b } = await alternate<Course>(
    PAIRS,
    () => all(NONE),
    () => all(SHIPPED),
  );
  const compared = (what: string, unit: string, of: (one: Course) => number): Figure => ({
    ...{ what, unit, value: summarize(b.map(of)), ratio: ratios(b.map(of), a.map(of)) },
    baseline: { what: 'each one told', value: summarize(a.map(of)) },
  });
  const sum = (of: (one: Course) => number) => [...a, ...b].reduce((total, one) => total + of(one), 0);
  const ran = sum((one) => one.ran);
  return [
    {
      ...{ what: 'execs that reached the bus, of those run beside the flood', unit: '%' },
      value: { ...single((100 * sum(({ execs }) => execs)) / ran), samples: ran },
      detail: `${sum(({ lostExecs }) => lostExecs)} counted as lost`,
      aim: { of: 'value', op: '≥', value: 100 },
    },
    compared('CPU time of the probe', 's', ({ cpuS }) => cpuS),
    compared('changes told', 'rows', ({ changes }) => changes),
    compared('loads told', 'rows', ({ loads }) => loads),
    compared('shipped, zstd', 'MB', ({ bytes }) => bytes / 1e6),
    {
      ...{ what: 'records of changes lost in the ring', unit: 'records' },
      value: summarize(b.map(({ lostChanges }) => lostChanges)),
      baseline: { what: 'each one told', value: summarize(a.map(({ lostChanges }) => lostChanges)) },
    },
    ...(await bySize(folder, storm, flood)),
  ];
}

async function course(folder: string, filter: RepeatFilter, storm: Storm, flood: Flood): Promise<Course> {
  let ran = 0;
  const found = await watched(folder, filter, storm, async () => {
    [ran] = await Promise.all([storm.blow(LOOPS, EXECS_PER_LOOP), flood.come()]);
  });
  return { ran, ...found };
}

/** The same programs written to again and again beside the archive, under filters of several sizes. */
async function bySize(folder: string, storm: Storm, flood: Flood): Promise<Figure[]> {
  const sized: Figure[] = [];
  for (const filter of SIZES) {
    const found = await watched(folder, filter, storm, async () => {
      await Promise.all([flood.rewrite(AGAIN, ROUNDS), flood.come()]);
    });
    const room = `with room for ${filter.changes.toLocaleString('en-US')} changes, ${filter.uses.toLocaleString('en-US')} uses`;
    const how = filter === NONE ? 'each one' : room;
    sized.push({
      what: `of ${numberText(AGAIN * ROUNDS)} writes to ${numberText(AGAIN)} programs are told, ${how}`,
      ...{ unit: 'rows', value: single(found.rewritten) },
      detail: `${numberText(found.lostChanges)} lost, ${numberText(found.loads)} loads, ${numberText(found.cpuS)} s, ${numberText(found.bytes / 1e6)} MB`,
    });
  }
  return sized;
}

/** What a probe with this filter takes and ships while something happens. */
async function watched(folder: string, filter: RepeatFilter, storm: Storm, happens: () => Promise<void>) {
  const home = mkdtempSync(join(folder, 'home-'));
  const args = [filter.changes, filter.uses, filter.repeatAfterNs].map(String);
  const probe = await startProbeProcess(home, FILTERED_PROBE, args);
  const before = cpuNs(probe.pid);
  await happens();
  await calm(probe.pid);
  const cpuS = (cpuNs(probe.pid) - before) / 1e9;
  await probe.stop();
  return { cpuS, ...(await shipped(`${folder}/`, home, storm)) };
}

async function calm(pid: number): Promise<void> {
  for (let before = 0, now = cpuNs(pid); now - before > CALM_SHARE * LOOK_MS * 1e6; ) {
    before = now;
    await delay(LOOK_MS);
    now = cpuNs(pid);
  }
}

type Shipped = {
  readonly execs: number;
  readonly changes: number;
  readonly loads: number;
  readonly rewritten: number;
  readonly lostExecs: number;
  readonly lostChanges: number;
  /** Each message by itself at zstd's first level, as the outbox keeps it. */
  readonly bytes: number;
};

/** Changes are those of the flood; loads and bytes are all that the host did meanwhile. */
async function shipped(folder: string, home: string, storm: Storm): Promise<Shipped> {
  const found = { execs: 0, changes: 0, loads: 0, rewritten: 0, bytes: 0 };
  const losses = new Map<string, number>();
  const count = (batch: Batch, row: number) => {
    const path = batch.type === 'exec' || batch.type === 'file' ? textAt(batch, 'path', row) : '';
    if (batch.type === 'exec' && isOfStorm(storm, batch, row, path)) found.execs += 1;
    if (batch.type === 'load') found.loads += 1;
    if (batch.type === 'file' && path.startsWith(folder)) found.changes += 1;
    if (batch.type === 'file' && path.includes('/again.')) found.rewritten += 1;
    // Cumulative: the last of each place stands.
    if (batch.type === 'loss') losses.set(placeOf(batch, row), Number(bigAt(batch, 'lost', row)));
  };
  const bus = openSqliteBus({ path: join(home, 'bus.db'), compactedTopics: COMPACTED_TOPICS });
  const follower = await bus.follow(TOPICS.events, (records) => {
    for (const { value } of records) {
      found.bytes += zstdCompressSync(value, { params: { [constants.ZSTD_c_compressionLevel]: 1 } }).length;
      const decoded = decodeBatch(value);
      if (!decoded.ok) throw new Error(decoded.detail);
      for (let row = 0; row < decoded.batch.rows; row++) count(decoded.batch, row);
    }
  });
  await follower.close();
  await bus.close();
  const lostOf = (type: string) =>
    [...losses].reduce((sum, [place, lost]) => (place.endsWith(` ${type} ring`) ? sum + lost : sum), 0);
  return { ...found, lostExecs: lostOf('exec'), lostChanges: lostOf('file') };
}

const placeOf = (batch: Batch, row: number) =>
  `${numberAt(batch, 'cpu', row)} ${textAt(batch, 'event_type', row)} ${textAt(batch, 'place', row)}`;

const isOfStorm = (storm: Storm, batch: Batch, row: number, path: string) =>
  storm.programOf({ path, argv: textAt(batch, 'argv', row).split('\0') }) !== undefined;

export const bench: Bench = {
  name: 'flood',
  title: 'A flood of files',
  method:
    `tar x of ${FILES.toLocaleString('en-US')} files (every fifth executable), ${SOURCES} C files compiled and linked, find / and ` +
    `${(LOOPS * EXECS_PER_LOOP).toLocaleString('en-US')} execs of ${PROGRAMS} programs side by side, ${PAIRS} pairs: with the filters of changes and uses as ` +
    `they are, and with none. Then, beside the same, ${AGAIN.toLocaleString('en-US')} programs written to by one process again and again, under filters of several sizes and none.`,
  whyNotHere,
  run: figures,
};
