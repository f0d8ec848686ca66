/**
 * The bus port: a partitioned, ordered log with durable consumer plans. Adapters: `sqlite-bus.ts` (embedded)
 * and `kafka-bus.ts` (a fleet). The contract every adapter must keep is `bus.contract.ts`; a stage may rely on nothing that is not tested there.
 */

/** One stored message. `offset` counts from 0 in its partition; gaps are possible, order is not. */
export type BusRecord = {
  readonly offset: number;
  readonly key: string;
  readonly publishedAtMs: number;
  readonly value: Uint8Array;
};

/** What a producer hands in: the key chooses the partition, and is what compaction keeps the newest of. */
export type Message = { readonly key: string; readonly value: Uint8Array };

/**
 * A batch with fixed bounds. It is durable before a handler sees it, and handed out again with the same `from`, `to`
 * and `atMs` until it is acknowledged, also after a crash: that is what makes a replayed insert identical.
 */
export type Plan = {
  /** Random, made with the log the offsets count in and kept in it: one made anew never reuses deduplication tokens. */
  readonly busId: string;
  readonly topic: string;
  readonly group: string;
  readonly partition: number;
  /** First offset of the batch. */
  readonly from: number;
  /** One past the last offset of the batch. */
  readonly to: number;
  /** When the plan was made; stages take ingest times from here, never from the clock. */
  readonly atMs: number;
  readonly records: readonly BusRecord[];
};

export type SubscribeOptions = {
  readonly topic: string;
  readonly group: string;
  /** A plan closes at this many records or bytes, whichever comes first; one record larger than that goes alone. */
  readonly maxRecords: number;
  readonly maxBytes: number;
  /**
   * A hint that an adapter may leave unused: a plan that is not full waits for more until its oldest record has been here
   * for so long. For a stage that pays by the plan, where many partitions would make many small ones.
   */
  readonly gatherMs?: number;
  readonly ahead?: Ahead;
};

/**
 * A hint that an adapter may leave unused: while a plan is with its handler, the records behind it may be read and handed
 * to `prepare`, in order. They are bytes only: no plan is made of them, and nothing may be done but preparing. They come
 * again, as the same objects, in the plans that follow, or are handed to `forget`: their partition went to another
 * process, or somebody else took the plan.
 */
export type Ahead = {
  readonly prepare: (records: readonly BusRecord[]) => void;
  readonly forget: (records: readonly BusRecord[]) => void;
};

export type Subscription = {
  /** Rejects with the handler's error when the handler throws: the plan stays unacknowledged. */
  readonly done: Promise<void>;
  /** Stops handing out plans and waits for the running handler. */
  close(): Promise<void>;
};

export type Follower = { readonly done: Promise<void>; close(): Promise<void> };

export type Bus = {
  /** Resolves once every message is durable: of those for one partition all or none. */
  publish(topic: string, messages: readonly Message[]): Promise<void>;
  /** Hands out one plan at a time per partition; returning acknowledges it. */
  subscribe(options: SubscribeOptions, handler: (plan: Plan) => Promise<void>): Subscription;
  /** Reads a topic from its beginning without a group; resolves once the end as of the call has been handed over. */
  follow(topic: string, handler: (records: readonly BusRecord[]) => void): Promise<Follower>;
  /** Records published but not yet acknowledged by the group, and the age of the oldest of them. */
  lag(topic: string, group: string): Promise<{ records: number; oldestAgeMs: number }>;
  close(): Promise<void>;
};
