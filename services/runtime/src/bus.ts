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

/**
 * A partition while it is one subscription's. Stages that keep something of their own for each partition live by it; for
 * the others it is enough that a plan is acknowledged by whoever has it.
 */
export type Hold = {
  readonly partition: number;
  /** Aborts once the partition may be another's. */
  readonly over: AbortSignal;
  /** Whether certainly nobody else has it at this moment. False also after this process stood still for too long. */
  isOurs(): boolean;
};

/** Called before a partition is given up in order, and waited for, some seconds at most. */
export type GiveUp = () => Promise<void>;

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
   * for so long, times the partitions this subscription has, a second at most. For a stage that pays by the plan: however
   * many partitions a topic has, and however little comes, a process makes about so many plans a second.
   */
  readonly gatherMs?: number;
  readonly ahead?: Ahead;
  /**
   * A partition has become this subscription's: its first plan waits until this resolves. Repeated while it rejects with
   * Transient and the partition is still ours.
   */
  readonly taken?: (hold: Hold) => Promise<GiveUp>;
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

/**
 * Does the work of a plan; returning acknowledges it. `over` aborts once the plan may be another's: a handler may finish
 * all the same, or reject with its reason, which leaves the plan to whoever has it then.
 */
export type PlanHandler = (plan: Plan, over: AbortSignal) => Promise<void>;

export type Subscription = {
  /** Rejects with the handler's error when the handler throws: the plan stays unacknowledged. */
  readonly done: Promise<void>;
  /** Whether this subscription is one of its group's at this moment, with or without partitions of its own. */
  isMember(): boolean;
  /** Stops handing out plans and waits for the running handler. */
  close(): Promise<void>;
};

export type Follower = {
  readonly done: Promise<void>;
  /** Resolves once the end of the topic as of the call has been handed over. */
  catchUp(): Promise<void>;
  close(): Promise<void>;
};

/** The one pen of a partition. */
export type Journal = {
  /**
   * Resolves once all of them are durable, in that partition whatever their keys. Rejects with Transient when another has
   * the pen now, or when the bus is away; then all of them may be there or none, and this pen writes no more.
   */
  append(messages: readonly Message[]): Promise<void>;
  close(): Promise<void>;
};

export type Bus = {
  /** Resolves once every message is durable: of those for one partition all or none. */
  publish(topic: string, messages: readonly Message[]): Promise<void>;
  /** Hands out one plan at a time per partition; returning acknowledges it. */
  subscribe(options: SubscribeOptions, handler: PlanHandler): Subscription;
  /** Reads a topic from its beginning without a group; resolves once the end as of the call has been handed over. */
  follow(topic: string, handler: (records: readonly BusRecord[], partition: number) => void): Promise<Follower>;
  /**
   * Takes the pen of a partition from whoever had it. Once this resolves nothing of an earlier pen is added any more, so
   * what a follower then catches up to is all there is. `publish` needs no pen: a topic with journals is written by them.
   */
  journal(topic: string, partition: number): Promise<Journal>;
  /** How many partitions a topic has. */
  partitions(topic: string): Promise<number>;
  /** Records published but not yet acknowledged by the group, and the age of the oldest of them. */
  lag(topic: string, group: string): Promise<{ records: number; oldestAgeMs: number }>;
  close(): Promise<void>;
};
