import kafkajs, { type Kafka, type Producer } from 'kafkajs';
import type { Journal } from './bus.ts';
import { inLots } from './dead.ts';
import { Transient } from './errors.ts';
import { busFault } from './kafka-errors.ts';

/** Some 5 s of tries: whoever has the partition takes the pen anew after that, and sees what became of the last try. */
const RETRY = { initialRetryTime: 50, maxRetryTime: 1_000, factor: 0, multiplier: 2, retries: 8 };
/** A pen whose holder stands still within an append keeps readers from what follows for so long, unless it is taken. */
const TRANSACTION_MS = 10_000;

/**
 * The pen of a partition is a transactional id: Kafka gives it to one producer, and with a new epoch refuses what an
 * earlier one sends, also what that one had begun (KIP-98). Each append is one transaction; readers of ours see committed
 * ones only. @throws Transient, SetupError
 */
export async function openJournal(kafka: Kafka, topic: string, partition: number): Promise<Journal> {
  const producer = createPen(kafka, `${topic}.${partition}`);
  let broken = false;
  const attempt = async (doing: string, work: () => Promise<void>): Promise<void> => {
    if (broken) throw new Transient(`the pen of ${topic}/${partition} is no longer ours`);
    try {
      await work();
    } catch (error) {
      // What kafkajs remembers of a producer's numbers is wrong after a failure.
      broken = true;
      producer.disconnect().catch(() => {});
      throw busFault(error, `${doing} ${topic}/${partition}`);
    }
  };
  await attempt('taking the pen of', async () => {
    await producer.connect();
    await (await producer.transaction()).abort();
  });
  let last: Promise<unknown> = Promise.resolve();
  return {
    append(messages) {
      const step = (): Promise<void> =>
        attempt('appending to', async () => {
          if (messages.length === 0) return;
          const transaction = await producer.transaction();
          for (const lot of inLots(messages)) {
            const rows = lot.map(({ key, value }) => ({ key, value: Buffer.from(value), partition }));
            const compression = kafkajs.CompressionTypes.ZSTD;
            await transaction.send({ topic, acks: -1, compression, messages: rows });
          }
          await transaction.commit();
        });
      const appended = last.then(step);
      last = appended.catch(() => {});
      return appended;
    },
    async close() {
      await last;
      if (!broken) await producer.disconnect().catch(() => {});
      broken = true;
    },
  };
}

function createPen(kafka: Kafka, transactionalId: string): Producer {
  return kafka.producer({
    transactionalId,
    idempotent: true,
    retry: RETRY,
    maxInFlightRequests: 1,
    transactionTimeout: TRANSACTION_MS,
    allowAutoTopicCreation: false,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  });
}
