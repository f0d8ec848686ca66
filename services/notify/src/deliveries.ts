import type { Bus } from '@bintrail/runtime/bus.ts';
import { SetupError } from '@bintrail/runtime/errors.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import { retry } from '@bintrail/runtime/retry.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { type Delivery, decodeDelivery } from './delivery.ts';

/** The topic of deliveries as it is on the bus, whoever wrote what. */
export type Deliveries = {
  /** The newest record of each group of a partition, in the order of their first ones. */
  of(partition: number): Delivery[];
  /** Resolves once everything on the bus as of the call is known. */
  catchUp(): Promise<void>;
  readonly done: Promise<void>;
  close(): Promise<void>;
};

/**
 * Follows all partitions, so that one can be taken up at once; resolves when the end as of the call was read. Values are
 * kept as they came: a copy judges only those of its own partitions. `unreadable`: no delivery; its group counts as never told.
 */
export async function followDeliveries(bus: Bus, unreadable: (groupId: string) => void): Promise<Deliveries> {
  const newest = new Map<number, Map<string, Uint8Array>>();
  const { catchUp, done, close } = await bus.follow(TOPICS.deliveries, (records, partition) => {
    const groups = newest.get(partition) ?? new Map<string, Uint8Array>();
    newest.set(partition, groups);
    // A copy: what was fetched together would else be kept together.
    for (const { key, value } of records) groups.set(key, Uint8Array.from(value));
  });
  const decode = ([key, value]: [string, Uint8Array]): Delivery[] => {
    const delivery = decodeDelivery(value);
    if (delivery === undefined) unreadable(key);
    return delivery === undefined ? [] : [delivery];
  };
  return { of: (partition) => [...(newest.get(partition) ?? [])].flatMap(decode), catchUp, done, close };
}

const BACKOFF = { baseMs: 500, capMs: 5_000 };

/**
 * Findings and deliveries of a group stand in partitions of the same number, which is what makes one copy the owner of both.
 * A bus that is away is waited for until `signal` aborts, whose reason is then thrown.
 * @throws SetupError when one topic has more of them than the other
 */
export async function requireSamePartitions(bus: Bus, log: Log, signal?: AbortSignal): Promise<void> {
  const partitionsOf = (topic: string): Promise<number> =>
    retry(
      () => bus.partitions(topic),
      BACKOFF,
      signal,
      (error) => log.warn({ topic, err: error }, 'the bus does not answer yet'),
    );
  const findings = await partitionsOf(TOPICS.findings);
  const deliveries = await partitionsOf(TOPICS.deliveries);
  if (findings === deliveries) return;
  throw new SetupError(
    `${TOPICS.findings} has ${findings} partitions and ${TOPICS.deliveries} has ${deliveries}`,
    'give both the same number: kafka-topics.sh --alter adds partitions, but moves keys, so first let notify finish and ' +
      `delete ${TOPICS.deliveries}; npm run topics then makes it anew`,
  );
}
