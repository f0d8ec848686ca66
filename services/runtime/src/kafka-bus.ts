import { randomUUID } from 'node:crypto';
import kafkajs from 'kafkajs';
import type { Bus, Journal, Message } from './bus.ts';
import { createClient } from './kafka-client.ts';
import { openCluster } from './kafka-cluster.ts';
import { follow } from './kafka-follow.ts';
import { openJournal } from './kafka-journal.ts';
import { readLag } from './kafka-lag.ts';
import type { Timing } from './kafka-member.ts';
import { openPublisher } from './kafka-producer.ts';
import type { KafkaConnection } from './kafka-settings.ts';
import type { Gone, Reading, Source } from './kafka-source.ts';
import { subscribe } from './kafka-subscribe.ts';
import type { Log } from './log.ts';

export type KafkaBusOptions = {
  readonly connection: KafkaConnection;
  readonly log: Log;
  /** Told of records that were gone before a group came to them; they are logged as well. */
  readonly onGone?: (gone: Gone) => void;
  readonly timing?: Partial<Timing>;
};

/** Three heartbeats may go missing, or ten at the default of 30 s; more often costs the coordinator more than it tells. */
function timingOf({ sessionTimeoutMs = 30_000 }: KafkaConnection): Timing {
  const heartbeatMs = Math.min(3_000, sessionTimeoutMs / 3);
  return { sessionTimeoutMs, heartbeatMs, rebalanceTimeoutMs: 20_000, maxWaitMs: 250, stallMs: 60_000 };
}

/**
 * The bus of a fleet: Apache Kafka. Many processes share a group, each gets some of a topic's partitions. The plan of each
 * partition is kept in the metadata of the group's committed offset. Topics are made beforehand (`npm run topics`).
 */
export function openKafkaBus({ connection, log, onGone, timing }: KafkaBusOptions): Bus {
  const makeClient = () => createClient(connection, log);
  const client = makeClient();
  const cluster = openCluster(client.kafka);
  const publisher = openPublisher(client.kafka);
  const partitionOf = kafkajs.Partitioners.DefaultPartitioner();
  const readers = new Set<Reading>();
  const journals = new Set<Journal>();
  let closing: Promise<void> | undefined;
  let closed = false;

  const source: Source = {
    ...{ cluster, log, createClient: makeClient, timing: { ...timingOf(connection), ...timing } },
    onGone(gone) {
      log.error(gone, 'records were gone before they were read');
      onGone?.(gone);
    },
  };
  const named = (topic: string): string => connection.prefix + topic;
  /** One group of Kafka's for each of a topic: members of one must all read the same topics. */
  const groupOf = (topic: string, group: string): string => `${named(topic)}.${group}`;
  const asReader = <T extends Reading>(start: () => T): T => {
    if (closing !== undefined) throw new Error('the bus is closed');
    const reader = start();
    readers.add(reader);
    reader.settled.then(() => readers.delete(reader));
    return reader;
  };
  const closeAll = async (): Promise<void> => {
    await Promise.all([...readers].map((reader) => reader.close()));
    closed = true;
    await Promise.all([publisher.close(), ...[...journals].map((journal) => journal.close())]);
    await cluster.close();
    client.destroy();
  };

  return {
    async publish(name, messages) {
      if (closed) throw new Error('the bus is closed');
      const topic = named(name);
      const count = messages.length === 0 ? 0 : await cluster.partitions(topic);
      const partitionMetadata = Array.from(
        { length: count },
        (_, partitionId) => ({ partitionId, leader: 0 }) as never,
      );
      const byPartition = Map.groupBy(messages, (message: Message) =>
        partitionOf({ topic, partitionMetadata, message } as never),
      );
      await Promise.all([...byPartition].map(([partition, part]) => publisher.send(topic, partition, part)));
    },
    subscribe(options, handler) {
      const groupId = groupOf(options.topic, options.group);
      const { topic } = options;
      return asReader(() =>
        subscribe(source, groupId, { ...options, topic: named(topic) }, (plan, over) =>
          handler({ ...plan, topic }, over),
        ),
      );
    },
    async follow(name, handler) {
      const groupId = groupOf(name, `follow-${randomUUID()}`);
      const { done, close, caughtUp, catchUp } = asReader(() => follow(source, groupId, named(name), handler));
      await Promise.race([caughtUp, done]);
      // A promise of its own: the race above counts as a listener, and would hide a later failure nobody awaits.
      return { done: done.then(() => {}), close, catchUp };
    },
    async journal(topic, partition) {
      if (closing !== undefined) throw new Error('the bus is closed');
      const journal = await openJournal(client.kafka, named(topic), partition);
      journals.add(journal);
      return {
        append: journal.append,
        async close() {
          await journal.close();
          journals.delete(journal);
        },
      };
    },
    partitions: (topic) => cluster.partitions(named(topic)),
    lag: (topic, group) => readLag(cluster, named(topic), groupOf(topic, group)),
    close() {
      closing ??= closeAll();
      return closing;
    },
  };
}
