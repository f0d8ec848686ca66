import type { Bus } from '@bintrail/runtime/bus.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { type Delivery, decodeDelivery, encodeDelivery, isPending, type Pending } from './delivery.ts';
import { recover } from './transitions.ts';

export type Lookup = (groupId: string) => Delivery | undefined;

/** The deliveries of all groups: in memory what the topic holds, never ahead of it. */
export type Ledger = {
  readonly get: Lookup;
  /** What is still to be posted, oldest first. */
  pending(): Iterable<Pending>;
  /** How many groups wait. */
  readonly waiting: number;
  /**
   * Makes changes durable, one caller after another: `change` sees the newest records and returns those it replaces,
   * all of which are published or none. Resolves with them; rejects as the bus does, and then nothing has changed.
   */
  commit(change: (get: Lookup) => readonly Delivery[]): Promise<readonly Delivery[]>;
};

export type LedgerObserver = {
  /** A record is no delivery; its group counts as never told. */
  unreadable(groupId: string): void;
  /** How many groups wait, after each change. */
  waiting(groups: number): void;
};

/** Reads the topic to its end. Posts that were under way when an earlier run ended are due again, and marked. */
export async function openLedger(bus: Bus, observer: LedgerObserver): Promise<Ledger> {
  const all = new Map<string, Delivery>();
  const follower = await bus.follow(TOPICS.deliveries, (records) => {
    for (const { key, value } of records) {
      const delivery = decodeDelivery(value);
      if (delivery === undefined) observer.unreadable(key);
      else all.set(key, recover(delivery));
    }
  });
  // Notify is the only writer: what comes later comes from this ledger.
  await follower.close();
  const queue = new Map<string, Pending>();
  for (const delivery of [...all.values()].filter(isPending).sort(byAge)) queue.set(delivery.group_id, delivery);

  observer.waiting(queue.size);

  const apply = (delivery: Delivery) => {
    const before = queue.get(delivery.group_id);
    all.set(delivery.group_id, delivery);
    // A map keeps the place of a key that is set again; a new episode goes to the end.
    if (before !== undefined && (!isPending(delivery) || delivery.episode !== before.episode)) {
      queue.delete(delivery.group_id);
    }
    if (isPending(delivery)) queue.set(delivery.group_id, delivery);
  };
  let last: Promise<unknown> = Promise.resolve();
  const get: Lookup = (groupId) => all.get(groupId);
  return {
    get,
    pending: () => queue.values(),
    get waiting() {
      return queue.size;
    },
    commit(change) {
      const step = async () => {
        const changed = change(get);
        const messages = changed.map((delivery) => ({ key: delivery.group_id, value: encodeDelivery(delivery) }));
        if (messages.length > 0) await bus.publish(TOPICS.deliveries, messages);
        changed.forEach(apply);
        observer.waiting(queue.size);
        return changed;
      };
      const committed = last.then(step);
      last = committed.catch(() => {});
      return committed;
    },
  };
}

/** Of the same millisecond, in the order of their first records. */
function byAge(a: Pending, b: Pending): number {
  return Date.parse(a.queued_at) - Date.parse(b.queued_at);
}
