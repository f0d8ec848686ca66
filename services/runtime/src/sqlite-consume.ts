import { randomUUID } from 'node:crypto';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import type { BusRecord, GiveUp, PlanHandler, SubscribeOptions, Subscription } from './bus.ts';
import { Transient } from './errors.ts';
import { createAhead } from './sqlite-ahead.ts';
import { busError } from './sqlite-file.ts';
import type { Bounds, Groups, Membership } from './sqlite-groups.ts';
import type { Log, TopicLog } from './sqlite-log.ts';
import type { Wake } from './sqlite-wake.ts';

/** What the readers of one open bus share. */
export type Source = {
  readonly busId: string;
  readonly log: Log;
  readonly groups: Groups;
  readonly wake: Wake;
  readonly durable: () => Promise<void>;
  /** Called after every acknowledgement. */
  readonly acknowledged: () => void;
};

/** Values are read and unpacked this many bytes at a time, so that a large plan does not hold up the event loop. */
const SLICE_BYTES = 1024 * 1024;
const LOCKED_RETRY_MS = 100;
const END_OF_TOPIC = Number.MAX_SAFE_INTEGER;

/** The one partition every topic of this adapter has. */
export const PARTITION = 0;

/** A running reader; `settled` resolves when it has ended, for whatever reason. */
export type Reading = {
  readonly done: Promise<void>;
  close(): Promise<void>;
  readonly settled: Promise<void>;
};

/** Joins the group at once and hands out plans until closed. */
export function subscribe(source: Source, options: SubscribeOptions, handler: PlanHandler): Reading & Subscription {
  const { log, groups, busId } = source;
  if (options.maxRecords < 1) throw new RangeError('maxRecords must be at least 1');
  const join = (): Joined => {
    const topic = log.topic(options.topic);
    return { topic, member: log.transaction(() => groups.join(topic, options.group, randomUUID())) };
  };
  let joined: Joined | undefined;
  let giveUp: GiveUp | undefined;
  const ending = new AbortController();
  const over = ending.signal;
  const take = async (open: () => boolean, { member }: Joined): Promise<void> => {
    const isOurs = (): boolean => !over.aborted && member.isCurrent();
    giveUp ??= await whileLocked(open, async () => options.taken?.({ partition: PARTITION, over, isOurs }));
  };
  const ahead = createAhead(options);
  const step = async (open: () => boolean): Promise<boolean> => {
    joined ??= await whileLocked(open, join);
    if (joined !== undefined) await take(open, joined);
    const hand = joined && (await whileLocked(open, () => nextBounds(log, joined!, options)));
    if (joined === undefined || hand === undefined) return false;
    const { topic, group } = options;
    const known = ahead.take(hand.from, hand.to);
    const [records] = await Promise.all([readAll(joined.topic, hand, known), source.durable()]);
    if (!open()) return false;
    if (options.ahead !== undefined) ahead.start(joined.topic, hand.to);
    try {
      await handler({ busId, topic, group, partition: PARTITION, ...hand, records }, over);
    } finally {
      await ahead.stop();
    }
    await whileLocked(alwaysOpen, () => log.transaction(() => joined!.member.acknowledge(hand)));
    source.acknowledged();
    return true;
  };
  const reading = keepReading(source.wake, step, async () => {
    await giveUp?.();
    ending.abort();
  });
  return { ...reading, isMember: () => joined !== undefined && !over.aborted };
}

type Joined = { readonly topic: TopicLog; readonly member: Membership };

/** The batch in hand, or a new one, or undefined when the group has read everything. */
function nextBounds(log: Log, { topic, member }: Joined, options: SubscribeOptions): Bounds | undefined {
  const { acked, plan } = member.state();
  if (plan !== undefined) return plan;
  const to = topic.batchEnd(acked, options);
  if (to === undefined) return undefined;
  const bounds = { from: acked, to, atMs: Date.now() };
  log.transaction(() => member.plan(bounds));
  return bounds;
}

/** The records of a plan, of which the first may be known. */
async function readAll(topic: TopicLog, { from, to }: Bounds, known: BusRecord[]): Promise<BusRecord[]> {
  const records = known;
  for (let next = (known.at(-1)?.offset ?? from - 1) + 1; next < to; ) {
    const slice = topic.read(next, to, SLICE_BYTES);
    for (const record of slice) records.push(record);
    const last = slice.at(-1);
    if (last === undefined || last.offset + 1 >= to) return records;
    next = last.offset + 1;
    await turn();
  }
  return records;
}

/** Somebody who wants to know when everything before `end` was handed over. */
type Waiter = { readonly end: number; readonly resolve: () => void };

/** Reads a topic from its beginning; `caughtUp` resolves once its end as of the call was handed over. */
export function follow(
  source: Source,
  name: string,
  handler: (records: readonly BusRecord[], partition: number) => void,
): Reading & { readonly caughtUp: Promise<void>; catchUp(): Promise<void> } {
  const first = Promise.withResolvers<void>();
  const waiting: Waiter[] = [];
  let topic: TopicLog | undefined;
  let next = 0;
  const openTopic = (): TopicLog => {
    const opened = source.log.topic(name);
    waiting.push({ end: opened.end(), resolve: first.resolve });
    return opened;
  };
  const reading = keepReading(source.wake, async (open) => {
    topic ??= await whileLocked(open, openTopic);
    // Who asks from here on may ask for what was published after the reading.
    const asked = waiting.splice(0);
    const records = topic && (await whileLocked(open, () => topic!.read(next, END_OF_TOPIC, SLICE_BYTES)));
    if (topic === undefined || records === undefined) return false;
    const last = records.at(-1);
    if (last !== undefined) {
      handler(records, PARTITION);
      next = last.offset + 1;
    }
    for (const waiter of asked) {
      if (next >= waiter.end || last === undefined) waiter.resolve();
      else waiting.push(waiter);
    }
    await turn();
    return last !== undefined;
  });
  reading.settled.then(first.resolve);
  return {
    ...reading,
    caughtUp: first.promise,
    async catchUp() {
      const reached = Promise.withResolvers<void>();
      const end = await whileLocked(alwaysOpen, () => source.log.topic(name).end());
      waiting.push({ end: end!, resolve: reached.resolve });
      source.wake.nudge();
      await Promise.race([reached.promise, reading.done]);
    },
  };
}

/**
 * Calls `step` for as long as it finds work, waits for a wake-up when it does not, and stops when closed; `end` then is the
 * last that happens.
 */
function keepReading(
  wake: Wake,
  step: (open: () => boolean) => Promise<boolean>,
  end: () => Promise<void> = async () => {},
): Reading {
  let closed = false;
  const open = () => !closed;
  const release = wake.hold();
  const run = async (): Promise<void> => {
    try {
      while (open()) {
        const seen = wake.version();
        if (!(await step(open)) && open()) await wake.changed(seen);
      }
    } finally {
      await end();
      release();
    }
  };
  const running = run();
  const settled = running.catch(() => {});
  return {
    settled,
    // Derived, and with no listener of ours: when nobody awaits it, a failure ends the process.
    done: running.then(() => {}),
    async close() {
      closed = true;
      wake.nudge();
      await settled;
    },
  };
}

const alwaysOpen = (): boolean => true;

/** Tries again while another process holds the file, or the work is Transient; undefined when closed meanwhile. */
async function whileLocked<T>(open: () => boolean, work: () => T | Promise<T>): Promise<T | undefined> {
  while (open()) {
    try {
      return await work();
    } catch (error) {
      const fault = busError(error);
      if (!(fault instanceof Transient)) throw fault;
      await delay(LOCKED_RETRY_MS);
    }
  }
  return undefined;
}
