/**
 * A fleet that sends at a steady rate, in a process of its own: `fork` it with a {@link LoadOptions} as JSON. It makes all
 * messages beforehand, says so, and begins when it is told to; each is due when the rows before it have been offered.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Message } from '@bintrail/runtime/bus.ts';
import { openKafkaBus } from '@bintrail/runtime/kafka-bus.ts';
import type { KafkaConnection } from '@bintrail/runtime/kafka-settings.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { createFleet } from '@bintrail/test/fleet/fleet.ts';

export type LoadOptions = {
  readonly connection: KafkaConnection;
  readonly seed: number;
  readonly nodes: number;
  /** A message has 1 to this many exec rows. */
  readonly maxRows: number;
  readonly eventsPerS: number;
  readonly seconds: number;
};

/** A message as it was offered: `node` and `seq` name it, `dueMs` (since the epoch) is when it should have left. */
export type Sent = { readonly node: string; readonly seq: number; readonly rows: number; readonly dueMs: number };

export type LoadReport = {
  readonly sent: readonly Sent[];
  /** How late publishes began, at worst: what the generator itself adds to latencies. */
  readonly latestMs: number;
};

const TICK_MS = 5;
const SEND_AT_A_TIME = 200;

const options = JSON.parse(process.argv[2] ?? '{}') as LoadOptions;
const { eventsPerS, seconds, connection } = options;
const bus = openKafkaBus({ connection, log: createLog({ level: 'error', name: 'fleet' }) });
const messages = makeMessages();
// The first publish opens connections; it is an event of a node like any other.
await bus.publish(TOPICS.events, [messages[0]!.message]);
process.send!('ready');
process.once('message', async () => {
  const report = await sendPaced();
  await bus.close();
  process.send!(report, () => process.disconnect?.());
});

type Planned = { readonly message: Message; readonly node: string; readonly seq: number; readonly rows: number };

/** Messages of so many events, in the order in which the nodes send them. */
function makeMessages(): Planned[] {
  const { seed, nodes, maxRows } = options;
  const fleet = createFleet({ seed, nodes, workloads: 40, startMs: Date.now(), maxRows });
  const planned: Planned[] = [];
  for (let rows = 0; rows < eventsPerS * seconds; ) {
    for (const message of fleet.send(SEND_AT_A_TIME)) {
      const decoded = decodeBatch(message.value);
      if (!decoded.ok) throw new Error(decoded.detail);
      const { node, batchSeq, rows: count } = decoded.batch;
      planned.push({ message, node, seq: batchSeq, rows: count });
      rows += count;
    }
  }
  return planned;
}

async function sendPaced(): Promise<LoadReport> {
  const startMs = Date.now();
  const sent: Sent[] = [];
  const running = new Set<Promise<void>>();
  let [rows, latestMs] = [messages[0]!.rows, 0];
  for (let next = 1; next < messages.length; ) {
    const nowMs = Date.now();
    const due: Message[] = [];
    for (; next < messages.length; next++) {
      const { message, node, seq, rows: count } = messages[next]!;
      const dueMs = startMs + (rows / eventsPerS) * 1_000;
      if (dueMs > nowMs) break;
      rows += count;
      latestMs = Math.max(latestMs, nowMs - dueMs);
      sent.push({ node, seq, rows: count, dueMs });
      due.push(message);
    }
    if (due.length > 0) {
      const publish: Promise<void> = bus.publish(TOPICS.events, due).finally(() => running.delete(publish));
      running.add(publish);
    }
    await delay(TICK_MS);
  }
  await Promise.all(running);
  return { sent, latestMs };
}
