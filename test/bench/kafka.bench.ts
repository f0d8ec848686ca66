/** Kafka → ClickHouse, beside a raw insert of the same rows and beside what kafkajs alone can do. */
import { setTimeout as delay } from 'node:timers/promises';
import { createIngest } from '@bintrail/ingest/ingest.ts';
import type { Bus, Message } from '@bintrail/runtime/bus.ts';
import { openKafkaBus } from '@bintrail/runtime/kafka-bus.ts';
import { createClient } from '@bintrail/runtime/kafka-client.ts';
import { FETCH_LIMITS } from '@bintrail/runtime/kafka-member.ts';
import type { KafkaConnection } from '@bintrail/runtime/kafka-settings.ts';
import { createMetrics } from '@bintrail/runtime/metrics.ts';
import { INGEST_GROUP, TOPICS } from '@bintrail/schemas/topics.ts';
import { whyNoKafka } from '../kafka/broker.ts';
import type { Bench, Figure } from './bench.ts';
import { BLOCKS, insertRaw, LOADS, type Load, makeLoads, SMALL_NODES } from './ingest-load.ts';
import { type KafkaPlace, log, openKafkaPlace } from './kafka-place.ts';
import { startService } from './service-process.ts';
import { alternate, ratios, single, summarize } from './stats.ts';

const PAIRS = 3;
const NODES = 24;
const POLL_MS = 5;
/** Copies of ingest, partitions of the events. */
const GROWTH = [
  [1, 1],
  [1, 2],
  [1, 4],
  [1, 12],
  [2, 2],
  [2, 4],
  [2, 12],
] as const;

const WHY_MISSED =
  'one partition is one plan at a time: fetched, decoded, stored; the cores that wait meanwhile serve other partitions.';

async function run(): Promise<Figure[]> {
  const place = await openKafkaPlace();
  const { large, small } = await makeLoads(NODES);
  const aim = { of: 'ratio', op: '≥', value: 0.8 } as const;
  const [toStore, ...ceiling] = await compare(`1,024 rows a message, ${NODES} nodes`, place, large);
  const figures = [
    { ...toStore!, aim, whyMissed: WHY_MISSED },
    ...ceiling,
    ...(await compare(`1–8 rows a message, ${SMALL_NODES} nodes`, place, small)),
    ...(await grow(place, large)),
  ];
  await place.close();
  return figures;
}

async function compare(what: string, place: KafkaPlace, load: Load): Promise<Figure[]> {
  await ingested(place, load);
  await insertRaw(place.store, load);
  const { a, b } = await alternate(
    PAIRS,
    () => ingested(place, load),
    () => insertRaw(place.store, load),
  );
  const ceiling: number[] = [];
  while (ceiling.length < PAIRS) ceiling.push(load.rows / (await consumed(place, load)));
  const [ours, raw] = [a.map((seconds) => load.rows / seconds), b.map((seconds) => load.rows / seconds)];
  const figure = { unit: 'rows/s', value: summarize(ours) };
  return [
    {
      ...{ what: `Kafka → ClickHouse, ${what}`, ...figure, ratio: ratios(ours, raw) },
      baseline: { what: 'raw Native blocks of the same rows', value: summarize(raw) },
    },
    {
      ...{ what: 'the same beside a consumer that does nothing', ...figure, ratio: ratios(ours, ceiling) },
      baseline: { what: 'kafkajs alone', value: summarize(ceiling) },
    },
  ];
}

/** Seconds from the first plan to the last acknowledgement; the messages are in the topic before, which is a new one. */
async function ingested(place: KafkaPlace, { messages }: Load): Promise<number> {
  const connection = await place.newTopics(1);
  const bus = openKafkaBus({ connection, log });
  await publish(bus, messages);
  let beganMs = 0;
  let handled = 0;
  const watched: Bus = {
    ...bus,
    subscribe: (options, handler) =>
      bus.subscribe(options, async (plan, over) => {
        if (plan.topic === TOPICS.events) beganMs ||= performance.now();
        await handler(plan, over);
        if (plan.topic === TOPICS.events) handled += plan.records.length;
      }),
  };
  const ingest = createIngest({ bus: watched, store: place.store, metrics: createMetrics(), log });
  while (handled < messages.length) await delay(POLL_MS);
  await acknowledged(bus);
  const seconds = (performance.now() - beganMs) / 1_000;
  await ingest.close();
  await bus.close();
  return seconds;
}

async function acknowledged(bus: Bus): Promise<void> {
  while ((await bus.lag(TOPICS.events, INGEST_GROUP)).records > 0) await delay(POLL_MS);
}

/** Those that wait for one another go together. The first alone: it asks for the partitions, which each of many would. */
async function publish(bus: Bus, messages: readonly Message[]): Promise<void> {
  const [first, ...rest] = messages;
  await bus.publish(TOPICS.events, [first!]);
  await Promise.all(rest.map((message) => bus.publish(TOPICS.events, [message])));
}

/** Seconds from the first batch to the last message for a consumer with the fetch sizes of ours that looks at nothing. */
async function consumed(place: KafkaPlace, { messages }: Load): Promise<number> {
  const connection = await place.newTopics(1);
  const bus = openKafkaBus({ connection, log });
  await publish(bus, messages);
  const client = createClient(connection, log);
  const consumer = client.kafka.consumer({ groupId: `${connection.prefix}bare`, ...FETCH_LIMITS });
  await consumer.connect();
  await consumer.subscribe({ topics: [connection.prefix + TOPICS.events], fromBeginning: true });
  const { promise: done, resolve } = Promise.withResolvers<void>();
  let [beganMs, seen] = [0, 0];
  await consumer.run({
    autoCommit: false,
    async eachBatch({ batch }) {
      beganMs ||= performance.now();
      seen += batch.messages.length;
      if (seen >= messages.length) resolve();
    },
  });
  await done;
  const seconds = (performance.now() - beganMs) / 1_000;
  await consumer.disconnect();
  client.destroy();
  await bus.close();
  return seconds;
}

async function grow(place: KafkaPlace, load: Load): Promise<Figure[]> {
  const figures: Figure[] = [];
  let alone: number | undefined;
  for (const [copies, partitions] of GROWTH) {
    const rate = await drained(place, load, copies, partitions);
    alone ??= rate;
    const what = `${copies} ${copies === 1 ? 'copy' : 'copies'} of ingest, ${partitions} partitions`;
    figures.push({
      ...{ what, unit: 'rows/s', value: single(rate), ratio: single(rate / alone) },
      baseline: { what: 'one of each', value: single(alone) },
    });
  }
  return figures;
}

/**
 * Rows a second of ingest as processes of its own, from the first publish to the last acknowledgement: a partition's rows may
 * be one plan, so that at the first acknowledgement all others may be nearly done.
 */
async function drained(place: KafkaPlace, load: Load, copies: number, partitions: number): Promise<number> {
  const connection: KafkaConnection = await place.newTopics(partitions);
  const bus = openKafkaBus({ connection, log });
  const env = { ...place.env, KAFKA_PREFIX: connection.prefix };
  const services = await Promise.all(Array.from({ length: copies }, () => startService('ingest', env)));
  await joined(connection, copies);
  const beganMs = performance.now();
  await publish(bus, load.messages);
  await acknowledged(bus);
  const seconds = (performance.now() - beganMs) / 1_000;
  await Promise.all(services.map((service) => service.stop()));
  await bus.close();
  return load.rows / seconds;
}

/** Until the group has so many members and has shared the partitions out among them. */
async function joined(connection: KafkaConnection, copies: number): Promise<void> {
  const client = createClient(connection, log);
  const admin = client.kafka.admin();
  await admin.connect();
  const isJoined = async (): Promise<boolean> => {
    const { groups } = await admin.describeGroups([`${connection.prefix}${TOPICS.events}.${INGEST_GROUP}`]);
    return groups[0]?.state === 'Stable' && groups[0].members.length === copies;
  };
  while (!(await isJoined())) await delay(POLL_MS);
  await admin.disconnect();
  client.destroy();
}

export const bench: Bench = {
  name: 'kafka',
  title: 'Kafka to store',
  method:
    `${LOADS} that lie in a topic of one partition of a real broker (KRaft, zstd), through ingest into the embedded engine with all its ` +
    `views, from the first plan to the last acknowledgement; against ${BLOCKS}, into the same table and ` +
    `views; in turns, ${PAIRS} pairs, and ${PAIRS} runs of a kafkajs consumer that only counts. Growth: ingest as ` +
    'processes of its own, once each, which wait in their group, from the first publish to the last acknowledgement.',
  whyNotHere: whyNoKafka,
  run,
};
