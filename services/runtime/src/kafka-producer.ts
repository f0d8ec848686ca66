import kafkajs, { type Kafka, type Producer } from 'kafkajs';
import type { Message } from './bus.ts';
import { busFault } from './kafka-errors.ts';

export type Publisher = {
  /** Resolves once the messages are on all in-sync replicas: one batch of one partition, so all of them or none. */
  send(topic: string, partition: number, messages: readonly Message[]): Promise<void>;
  /** Waits for what is under way. */
  close(): Promise<void>;
};

type Job = {
  readonly messages: readonly Message[];
  readonly bytes: number;
  resolve(): void;
  reject(error: unknown): void;
};
type Lane = { readonly topic: string; readonly partition: number; readonly jobs: Job[] };

/** Some 10 s of tries, in which a leader is elected: only within one `send` are sequence numbers kept, and repeats noticed. */
const RETRY = { initialRetryTime: 100, maxRetryTime: 2_000, factor: 0, multiplier: 2, retries: 8 };

/** Publishes that wait for the one before them go together up to this; larger requests only cost memory. */
const TOGETHER_MAX_BYTES = 1024 * 1024;

/**
 * An idempotent producer, guarded against what kafkajs 2.2.4 does with one. Each of these loses or doubles records
 * without an error:
 * - A failed request gives its sequence numbers back, although the broker may have stored it: what is sent next under
 *   the same numbers is thrown away as a repeat. So one request at a time, and after a failure another producer.
 * - A request for several partitions whose leaders move between tries is sent to brokers that "have answered" already,
 *   or not sent to those that have not. So one partition a request.
 */
export function openPublisher(kafka: Kafka): Publisher {
  const lanes = new Map<string, Lane>();
  let producer: Promise<Producer> | undefined;
  let running: Promise<void> | undefined;

  const discard = (): void => {
    producer?.then((old) => old.disconnect()).catch(() => {});
    producer = undefined;
  };
  const deliver = async ({ topic, partition, jobs }: Lane): Promise<void> => {
    const together = takeTogether(jobs);
    try {
      producer ??= connect(kafka);
      const messages = together.flatMap((job) =>
        job.messages.map(({ key, value }) => ({ key, value: Buffer.from(value), partition })),
      );
      await (await producer).send({ topic, acks: -1, compression: kafkajs.CompressionTypes.ZSTD, messages });
      for (const job of together) job.resolve();
    } catch (error) {
      discard();
      const fault = busFault(error, `publishing to ${topic}`);
      for (const job of together) job.reject(fault);
    }
  };
  const run = async (): Promise<void> => {
    for (;;) {
      const [next] = lanes;
      if (next === undefined) {
        running = undefined;
        return;
      }
      const [name, lane] = next;
      await deliver(lane);
      // To the end of the line, so that a busy partition does not hold up the others.
      lanes.delete(name);
      if (lane.jobs.length > 0) lanes.set(name, lane);
    }
  };

  return {
    send(topic, partition, messages) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const bytes = messages.reduce((sum, { value }) => sum + value.byteLength, 0);
      const name = `${topic}/${partition}`;
      const lane = lanes.get(name) ?? { topic, partition, jobs: [] };
      lanes.set(name, lane);
      lane.jobs.push({ messages, bytes, resolve, reject });
      running ??= run();
      return promise;
    },
    async close() {
      await running;
      await (await producer?.catch(() => undefined))?.disconnect();
    },
  };
}

async function connect(kafka: Kafka): Promise<Producer> {
  const createPartitioner = kafkajs.Partitioners.DefaultPartitioner;
  const producer = kafka.producer({
    idempotent: true,
    retry: RETRY,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    createPartitioner,
  });
  await producer.connect();
  return producer;
}

/** The first job, and those behind it that fit. */
function takeTogether(jobs: Job[]): Job[] {
  let bytes = jobs[0]!.bytes;
  let count = 1;
  while (count < jobs.length && bytes + jobs[count]!.bytes <= TOGETHER_MAX_BYTES) {
    bytes += jobs[count]!.bytes;
    count += 1;
  }
  return jobs.splice(0, count);
}
