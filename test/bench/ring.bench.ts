/** Ring records → messages for the bus, on one core. */
import { setImmediate as turnOver } from 'node:timers/promises';
import { createEventsOut, type EventsOut, type Row } from '@bintrail/probe/events-out.ts';
import type { Observer } from '@bintrail/probe/observer.ts';
import { decodeRecord } from '@bintrail/probe/records.ts';
import { exec } from '@bintrail/schemas/exec.ts';
import type { Bench, Figure } from './bench.ts';
import { openHostObserver } from './host-observer.ts';
import { layRecords, type Records, ringRecord } from './ring-records.ts';
import { hostPrograms, kernelRows } from './sample-rows.ts';
import { alternate, ratios, summarize } from './stats.ts';

const PROGRAMS = 200;
const RECORDS = 65_536;
const PAIRS = 5;
const ROUND_CPU_MS = 1_000;
/** Records read from the ring at a time; the probe takes up to 8,192. */
const TURN = 1_024;
const MESSAGE_ROWS = 1_024;

async function run(): Promise<Figure[]> {
  const programs = hostPrograms(PROGRAMS);
  const rows = kernelRows(programs, RECORDS);
  const records = layRecords(rows.map((row) => ringRecord(exec, row, row.start_ns)));
  const host = await openHostObserver(programs);
  const columnar = columnarOut();
  const full = host.observerTo(columnar);
  const bare = host.observerTo(columnar, host.remembered);
  const lines = jsonOut();
  const asJson = host.observerTo(lines);
  const rate = (observer: Observer, out: EventsOut) => () => eventsPerCpuSecond(records, observer, out);
  for (const [observer, out] of [
    [full, columnar],
    [asJson, lines],
    [bare, columnar],
  ] as const)
    await rate(observer, out)();
  const { a, b } = await alternate(PAIRS, rate(full, columnar), rate(asJson, lines));
  const without: number[] = [];
  for (let round = 0; round < PAIRS; round++) without.push(await rate(bare, columnar)());
  await columnar.close();
  await host.close();
  return [
    {
      what: 'ring → bus, one core',
      unit: 'events/s',
      value: summarize(a),
      baseline: { what: 'the same rows as JSON lines', value: summarize(b) },
      ratio: ratios(a, b),
      aim: { of: 'value', op: '≥', value: 500_000 },
      whyMissed: WHY_MISSED,
    },
    {
      what: 'the same with package look-ups remembered',
      unit: 'events/s',
      value: summarize(without),
    },
  ];
}

const WHY_MISSED =
  'a record is decoded name by name into an object without a fixed shape (29 % of the time), observed by way of text keys ' +
  'and promises (46 %), and encoded by loops over names (25 %).';

/** Takes the records in turns as the probe does, again and again, for a second of CPU time. */
async function eventsPerCpuSecond(records: Records, observer: Observer, out: EventsOut): Promise<number> {
  const before = process.cpuUsage();
  const usedMs = () => {
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  };
  let events = 0;
  for (; usedMs() < ROUND_CPU_MS; events += TURN) {
    takeTurn(records, events % RECORDS, observer);
    await turnOver();
  }
  while (observer.waiting() > 0) await turnOver();
  await out.flush();
  return events / (usedMs() / 1_000);
}

function takeTurn({ memory, offsets, lengths }: Records, from: number, observer: Observer): void {
  const offsetNs = BigInt(Date.now()) * 1_000_000n;
  const rows: Row<'exec'>[] = [];
  for (let index = from; index < from + TURN; index++) {
    const row = decodeRecord(new DataView(memory, offsets[index], lengths[index]), offsetNs)?.exec;
    if (row === undefined) throw new Error('a record of our own could not be decoded');
    rows.push(row);
  }
  for (const row of rows) observer.onExec(row, offsetNs);
}

function columnarOut(): EventsOut {
  return createEventsOut({
    ...{ node: 'bench', boot: '00000000-0000-0000-0000-000000000000', probeEpoch: 1n },
    publish: async () => {},
    onFatal: (error) => {
      throw error;
    },
    onRetry: () => {},
  });
}

/** The same rows as lines of JSON, gathered to messages of as many rows. */
function jsonOut(): EventsOut {
  let lines: string[] = [];
  const flush = async () => {
    if (lines.length > 0) Buffer.from(lines.join('\n'));
    lines = [];
  };
  const add = (_name: string, row: object) => {
    lines.push(JSON.stringify(row, (_key, value) => (typeof value === 'bigint' ? value.toString() : value)));
    if (lines.length >= MESSAGE_ROWS) void flush();
  };
  return { add, flush, depth: () => 0, dropped: () => new Map(), close: flush };
}

export const bench: Bench = {
  name: 'ring',
  title: 'Ring to bus',
  method:
    `${RECORDS.toLocaleString('en-US')} exec records of ${PROGRAMS} programs of this host, in memory laid out as the ring; ` +
    'decoded, observed (workload, redaction, cached digest, package look-up), encoded in messages of 1,024 rows, ' +
    `published to nowhere; events per second of CPU time of all threads, ${PAIRS} pairs. Left out: descriptors, BPF, SQLite.`,
  run,
};
