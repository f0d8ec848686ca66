/** A fleet over Kafka into ClickHouse at a steady rate: how long an event takes, and what each stage costs. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openKafkaBus } from '@bintrail/runtime/kafka-bus.ts';
import type { KafkaConnection } from '@bintrail/runtime/kafka-settings.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { INGEST_GROUP, TOPICS } from '@bintrail/schemas/topics.ts';
import { whyNoKafka } from '../kafka/broker.ts';
import { type Done, doneAt, watchAcknowledged } from './acknowledged.ts';
import type { Bench, Figure } from './bench.ts';
import type { LoadOptions, LoadReport } from './fleet-load.child.ts';
import { type KafkaPlace, log, openKafkaPlace } from './kafka-place.ts';
import { startService } from './service-process.ts';
import { quantile, single } from './stats.ts';
import { numberText } from './table.ts';

/**
 * Events a second, the exec rows a message then has at most, where each node sends its messages twice a second, and the
 * partitions: one carries all of these; four show what partitions cost that nobody needs.
 */
const LOADS = [
  { eventsPerS: 1_000, maxRows: 1, partitions: 1 },
  { eventsPerS: 10_000, maxRows: 10, partitions: 1 },
  { eventsPerS: 10_000, maxRows: 10, partitions: 4 },
  { eventsPerS: 50_000, maxRows: 50, partitions: 1 },
] as const;
const NODES = 500;
/** Not counted: programs are compiled, plans find their size. */
const WARM_S = 5;
const MEASURED_S = 15;
const EVENTS_UNIT = 10_000;

async function run(): Promise<Figure[]> {
  const place = await openKafkaPlace();
  const measured: Measured[] = [];
  for (const load of LOADS) measured.push(await measure(place, load));
  const disk = await storeBytes(place.store);
  await place.close();
  return [...measured.flatMap(latencyFigures), ...measured.flatMap(costFigures), ...sizeFigures(measured, disk)];
}

type Measured = {
  /** The rate and the partitions, in words. */
  readonly at: string;
  readonly eventsPerS: number;
  readonly latenciesMs: readonly number[];
  /** How late the generator itself was at worst. */
  readonly latestMs: number;
  /** CPU seconds of each stage for {@link EVENTS_UNIT} events. */
  readonly cpu: readonly { readonly stage: string; readonly perUnitS: number }[];
  readonly events: number;
  readonly topicBytes: number;
};

async function measure(
  place: KafkaPlace,
  { eventsPerS, maxRows, partitions }: (typeof LOADS)[number],
): Promise<Measured> {
  const connection = await place.newTopics(partitions);
  const topic = connection.prefix + TOPICS.events;
  const env = { ...place.env, KAFKA_PREFIX: connection.prefix };
  const [ingest, detect] = await Promise.all([startService('ingest', env), startService('detect', env)]);
  const pids = { ingest: ingest.pid, detect: detect.pid, ...place.pids };
  const seconds = WARM_S + MEASURED_S;
  const load = await startLoad({ connection, seed: 1, nodes: NODES, maxRows, eventsPerS, seconds });
  const watch = await watchAcknowledged(connection, topic, `${topic}.${INGEST_GROUP}`);
  load.go();
  await delay(WARM_S * 1_000);
  const [warmMs, before] = [Date.now(), cpuSeconds(pids)];
  const { sent, latestMs } = await load.report;
  await drained(connection);
  const after = cpuSeconds(pids);
  await watch.close();
  const done = await doneAt(place.store, sent, watch.seen);
  await Promise.all([ingest.stop(), detect.stop()]);
  const units = rowsOf(done.filter(({ doneMs }) => doneMs >= warmMs)) / EVENTS_UNIT;
  return {
    at: `${numberText(eventsPerS)} events/s${partitions === 1 ? '' : `, ${partitions} partitions`}`,
    ...{ eventsPerS, latestMs },
    latenciesMs: done.filter(({ dueMs }) => dueMs >= warmMs).map(({ dueMs, doneMs }) => doneMs - dueMs),
    cpu: after.map(({ stage, cpuS }, index) => ({ stage, perUnitS: (cpuS - before[index]!.cpuS) / units })),
    events: rowsOf(done),
    topicBytes: topicBytes(place.folder, topic),
  };
}

function rowsOf(messages: readonly Done[]): number {
  return messages.reduce((sum, { rows }) => sum + rows, 0);
}

async function startLoad(options: LoadOptions): Promise<{ go(): void; report: Promise<LoadReport> }> {
  const child = fork(fileURLToPath(new URL('./fleet-load.child.ts', import.meta.url)), [JSON.stringify(options)]);
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`the fleet ended with ${code}`);
  });
  failed.catch(() => {});
  await Promise.race([once(child, 'message'), failed]);
  const report = once(child, 'message').then(([message]) => message as LoadReport);
  return { go: () => child.send('go'), report: Promise.race([report, failed]) };
}

async function drained(connection: KafkaConnection): Promise<void> {
  const bus = openKafkaBus({ connection, log });
  for (const group of [INGEST_GROUP, 'detect'])
    while ((await bus.lag(TOPICS.events, group)).records > 0) await delay(20);
  await bus.close();
}

/** A second of CPU time is so many of these on every Linux (proc(5), sysconf(_SC_CLK_TCK)). */
const TICKS_PER_S = 100;

/** Of all threads, also those that have ended: fields 14 and 15 of /proc/pid/stat, user and system. */
function cpuSeconds(pids: Readonly<Record<string, number>>) {
  return Object.entries(pids).map(([stage, pid]) => {
    const [, fields] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(/\) /);
    const [user, system] = fields!.split(' ').slice(11, 13).map(Number) as [number, number];
    return { stage, cpuS: (user + system) / TICKS_PER_S };
  });
}

/** What the broker keeps of a topic, indexes left out: they have a fixed size here. */
function topicBytes(folder: string, topic: string): number {
  const data = join(folder, 'node-1', 'data');
  const partitions = readdirSync(data).filter((name) => name.startsWith(`${topic}-`));
  const logs = partitions.flatMap((name) =>
    readdirSync(join(data, name))
      .filter((file) => file.endsWith('.log'))
      .map((file) => join(data, name, file)),
  );
  return logs.reduce((sum, file) => sum + statSync(file).size, 0);
}

async function storeBytes(store: Store): Promise<number> {
  const [sum] = await store.query<{ bytes: number }>(
    `SELECT toFloat64(sum(bytes_on_disk)) AS bytes FROM system.parts WHERE active AND database = currentDatabase()`,
  );
  return sum!.bytes;
}

function latencyFigures({ at, eventsPerS, latenciesMs, latestMs }: Measured): Figure[] {
  const value = (q: number) => single(quantile(latenciesMs, q), latenciesMs.length);
  const worst = numberText(value(1).median);
  return [
    { what: `publish → row visible, median at ${at}`, unit: 'ms', value: value(0.5) },
    {
      ...{ what: `publish → row visible, 99th percentile at ${at}`, unit: 'ms', value: value(0.99) },
      detail: `the longest ${worst} ms; the generator was late by ${numberText(latestMs)} ms at most`,
      ...(eventsPerS === 50_000 && { aim: { of: 'value', op: '≤', value: 1_000 } as const, whyMissed: WHY_LATE }),
    },
  ];
}

const WHY_LATE =
  'two cores carry the fleet, the broker, the engine, ingest and detect together, and are full at that rate: a plan then takes ' +
  'about a second to store, and what comes meanwhile waits for it.';

function costFigures({ at, cpu }: Measured): Figure[] {
  return cpu.map(({ stage, perUnitS }) => ({
    what: `CPU for 10,000 events, ${stage}, at ${at}`,
    ...{ unit: 's', value: single(perUnitS) },
  }));
}

function sizeFigures(measured: readonly Measured[], diskBytes: number): Figure[] {
  const events = measured.reduce((sum, load) => sum + load.events, 0);
  return [
    ...measured.map((load) => ({
      what: `on the broker's disk, at ${load.at}`,
      ...{ unit: 'B/event', value: single(load.topicBytes / load.events) },
    })),
    { what: 'on the disk of the store, with all roll-ups', unit: 'B/event', value: single(diskBytes / events) },
  ];
}

export const bench: Bench = {
  name: 'fleet',
  title: 'A fleet over Kafka',
  method:
    `${NODES} simulated nodes (test/src/fleet: execs, exits, late digests) that send their messages twice a second through one producer, ` +
    `from a process of its own; one broker, one partition where nothing else is said, one ingest, one detect and one engine, all on this machine. ` +
    `${MEASURED_S} s of each rate after ${WARM_S} s of warming up. A latency runs from when a message was due to the ` +
    'acknowledgement of its plan, looked for every 10 ms: its rows are visible before. CPU time from /proc, of all threads.',
  whyNotHere: whyNoKafka,
  run,
};
