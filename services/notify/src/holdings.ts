import type { Bus, GiveUp, Hold } from '@bintrail/runtime/bus.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import type { Deliveries } from './deliveries.ts';
import { type Ledger, openLedger } from './ledger.ts';
import type { Sender } from './sender.ts';

/** A partition of findings this copy has, with the deliveries of its groups. */
export type Holding = {
  readonly partition: number;
  readonly ledger: Ledger;
  /** Aborts once it is another copy's. */
  readonly over: AbortSignal;
  /** Whether certainly no other copy has it at this moment. */
  readonly isOurs: () => boolean;
  /** Whether a post about it may begin. */
  readonly mayPost: () => boolean;
};

export type Holdings = {
  all(): Iterable<Holding>;
  of(partition: number): Holding | undefined;
  readonly waiting: number;
  /** For the subscription of the findings. */
  take(hold: Hold): Promise<GiveUp>;
};

export type HoldingsParts = {
  readonly bus: Bus;
  readonly deliveries: Pick<Deliveries, 'of' | 'catchUp'>;
  /** Undefined where nothing is posted. */
  readonly sender: () => Sender | undefined;
  /** How many groups wait in all, after each change. */
  readonly onWaiting: (groups: number) => void;
};

/** No partition at first. */
export function createHoldings({ bus, deliveries, sender, onWaiting }: HoldingsParts): Holdings {
  const holdings = new Map<number, Holding>();
  const waiting = (): number => [...holdings.values()].reduce((sum, { ledger }) => sum + ledger.waiting, 0);

  const take = async (hold: Hold): Promise<GiveUp> => {
    const { partition, over, isOurs } = hold;
    // It may have been ours a moment ago, by an earlier turn: its last post is recorded by that one's pen.
    await sender()?.settled(partition);
    const ledger = await openLedger({
      hold,
      openJournal: () => bus.journal(TOPICS.deliveries, partition),
      async readAll() {
        await deliveries.catchUp();
        return deliveries.of(partition);
      },
      isOwnPost: (deliveryId) => sender()?.isOwnPost(deliveryId) ?? false,
      onWaiting: () => onWaiting(waiting()),
    });
    let leaving = false;
    const holding: Holding = { partition, ledger, over, isOurs, mayPost: () => !leaving && isOurs() };
    const forget = async (): Promise<void> => {
      if (holdings.get(partition) === holding) holdings.delete(partition);
      onWaiting(waiting());
      await sender()?.settled(partition);
      await ledger.close();
    };
    if (over.aborted) {
      await ledger.close();
      return async () => {};
    }
    holdings.set(partition, holding);
    over.addEventListener('abort', () => void forget(), { once: true });
    onWaiting(waiting());
    sender()?.heed(ledger);
    return async () => {
      leaving = true;
      await sender()?.settled(partition);
    };
  };
  return {
    all: () => [...holdings.values()],
    of: (partition) => holdings.get(partition),
    get waiting() {
      return waiting();
    },
    take,
  };
}
