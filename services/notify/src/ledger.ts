import type { Hold, Journal } from '@bintrail/runtime/bus.ts';
import { Transient } from '@bintrail/runtime/errors.ts';
import { type Delivery, encodeDelivery, isPending, type Pending } from './delivery.ts';
import { recover } from './transitions.ts';

export type Lookup = (groupId: string) => Delivery | undefined;

/** The deliveries of the groups of one partition: in memory what the topic holds, never ahead of it. */
export type Ledger = {
  readonly get: Lookup;
  /** What is still to be posted, oldest first. */
  pending(): Iterable<Pending>;
  /** How many groups wait. */
  readonly waiting: number;
  /**
   * Makes changes durable, one caller after another: `change` sees the newest records and returns those it replaces,
   * all of which are written or none. Resolves with them. Rejects with Transient, and then what was written shows when it is
   * called again, or to whoever has the partition by then.
   */
  commit(change: (get: Lookup) => readonly Delivery[]): Promise<readonly Delivery[]>;
  close(): Promise<void>;
};

export type LedgerParts = {
  readonly hold: Pick<Hold, 'isOurs'>;
  /** Takes the pen of the partition. */
  readonly openJournal: () => Promise<Journal>;
  /** All that is written, once the pen is ours. */
  readonly readAll: () => Promise<readonly Delivery[]>;
  /** Whether this process itself plans or makes that post, and so knows what became of it. */
  readonly isOwnPost: (deliveryId: string) => boolean;
  /** How many groups wait, after each change. */
  readonly onWaiting: (groups: number) => void;
};

/**
 * Takes the pen, then reads what is there: so nothing that another copy wrote, or yet writes, is missed. Posts that were under
 * way elsewhere are due again, and marked. @throws Transient
 */
export async function openLedger(parts: LedgerParts): Promise<Ledger> {
  const { hold, isOwnPost, onWaiting } = parts;
  let state: State = EMPTY;
  /** Undefined after a write that failed: another may have the pen, or a record be there that we think is not. */
  let journal: Journal | undefined;

  const takeUp = async (): Promise<Journal> => {
    // A pen taken from the rightful owner would only hold that up.
    if (!hold.isOurs()) throw new Transient('the partition may be another copy’s');
    const opened = await parts.openJournal();
    try {
      state = stateOf(await parts.readAll(), isOwnPost);
    } catch (error) {
      await opened.close();
      throw error;
    }
    onWaiting(state.queue.size);
    return opened;
  };
  const write = async (changed: readonly Delivery[]): Promise<void> => {
    if (changed.length === 0) return;
    const messages = changed.map((delivery) => ({ key: delivery.group_id, value: encodeDelivery(delivery) }));
    const pen = journal!;
    journal = undefined;
    try {
      await pen.append(messages);
    } catch (error) {
      await pen.close();
      throw error;
    }
    journal = pen;
  };
  journal = await takeUp();
  let last: Promise<unknown> = Promise.resolve();
  const get: Lookup = (groupId) => state.all.get(groupId);
  return {
    get,
    pending: () => state.queue.values(),
    get waiting() {
      return state.queue.size;
    },
    commit(change) {
      const step = async () => {
        journal ??= await takeUp();
        const changed = change(get);
        await write(changed);
        for (const delivery of changed) apply(state, delivery);
        onWaiting(state.queue.size);
        return changed;
      };
      const committed = last.then(step);
      last = committed.catch(() => {});
      return committed;
    },
    async close() {
      await last;
      await journal?.close();
    },
  };
}

type State = { readonly all: Map<string, Delivery>; readonly queue: Map<string, Pending> };

const EMPTY: State = { all: new Map(), queue: new Map() };

function stateOf(deliveries: readonly Delivery[], isOwnPost: LedgerParts['isOwnPost']): State {
  const isOwn = (delivery: Delivery) => delivery.state === 'planned' && isOwnPost(delivery.delivery_id);
  const current = deliveries.map((delivery) => (isOwn(delivery) ? delivery : recover(delivery)));
  const queue = new Map(
    current
      .filter(isPending)
      .sort(byAge)
      .map((delivery) => [delivery.group_id, delivery]),
  );
  return { all: new Map(current.map((delivery) => [delivery.group_id, delivery])), queue };
}

function apply({ all, queue }: State, delivery: Delivery): void {
  const before = queue.get(delivery.group_id);
  all.set(delivery.group_id, delivery);
  // A map keeps the place of a key that is set again; a new episode goes to the end.
  if (before !== undefined && (!isPending(delivery) || delivery.episode !== before.episode)) {
    queue.delete(delivery.group_id);
  }
  if (isPending(delivery)) queue.set(delivery.group_id, delivery);
}

/** Of the same millisecond, in the order of their first records. */
function byAge(a: Pending, b: Pending): number {
  return Date.parse(a.queued_at) - Date.parse(b.queued_at);
}
