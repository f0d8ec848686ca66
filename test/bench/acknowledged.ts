/** When messages were in the store, at the latest: ingest acknowledges a plan once all its rows are. */
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from '@bintrail/runtime/kafka-client.ts';
import type { KafkaConnection } from '@bintrail/runtime/kafka-settings.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import type { Sent } from './fleet-load.child.ts';
import { log } from './kafka-place.ts';

/** Everything before `offset` of the partition was acknowledged by then. */
export type Acknowledged = { readonly atMs: number; readonly partition: number; readonly offset: number };

export type Watch = { readonly seen: readonly Acknowledged[]; close(): Promise<void> };

/** Asking the broker costs neither the store nor ingest anything. What is late by less than this seems late by this. */
const POLL_MS = 10;

export async function watchAcknowledged(connection: KafkaConnection, topic: string, groupId: string): Promise<Watch> {
  const client = createClient(connection, log);
  const admin = client.kafka.admin();
  await admin.connect();
  const seen: Acknowledged[] = [];
  const known = new Map<number, number>();
  let open = true;
  const look = async (): Promise<void> => {
    const [found] = await admin.fetchOffsets({ groupId, topics: [topic] });
    const atMs = Date.now();
    for (const { partition, offset } of found!.partitions) {
      if (Number(offset) <= (known.get(partition) ?? 0)) continue;
      known.set(partition, Number(offset));
      seen.push({ atMs, partition, offset: Number(offset) });
    }
  };
  const watching = (async () => {
    for (; open; await delay(POLL_MS)) await look();
    await look();
  })();
  return {
    seen,
    async close() {
      open = false;
      await watching;
      await admin.disconnect();
      client.destroy();
    },
  };
}

/** `doneMs`: since the epoch. */
export type Done = Sent & { readonly doneMs: number };

type StoredMessage = { node: string; seq: number; partition: number; offset: number };

/** When each message was acknowledged; throws when one is not in the store. */
export async function doneAt(store: Store, sent: readonly Sent[], seen: readonly Acknowledged[]): Promise<Done[]> {
  const stored = await store.query<StoredMessage>(
    `SELECT node, toUInt32(batch_seq) AS seq, partition, toUInt32(offset) AS offset FROM batches
     WHERE bus_id = (SELECT argMax(bus_id, ingested_at) FROM batches)`,
  );
  const places = new Map(stored.map((message) => [`${message.node} ${message.seq}`, message]));
  const byPartition = Map.groupBy(seen, ({ partition }) => partition);
  return sent.map((message) => {
    const { node, seq } = message;
    const place = places.get(`${node} ${seq}`);
    const done = place && firstBehind(byPartition.get(place.partition) ?? [], place.offset);
    if (done === undefined) throw new Error(`message ${seq} of ${node} is not in the store`);
    return { ...message, doneMs: done.atMs };
  });
}

/** The first of these, which are in order, whose offset is above this one. */
function firstBehind(seen: readonly Acknowledged[], offset: number): Acknowledged | undefined {
  let [low, high] = [0, seen.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (seen[middle]!.offset > offset) high = middle;
    else low = middle + 1;
  }
  return seen[low];
}
