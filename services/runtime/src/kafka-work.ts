import type { BusRecord, PlanHandler, SubscribeOptions } from './bus.ts';
import { createHandingAhead, type HandingAhead } from './kafka-ahead.ts';
import type { Desk } from './kafka-desk.ts';
import { busFault, isOutOfMembership } from './kafka-errors.ts';
import { type Tenure, TenureOver } from './kafka-member.ts';
import { type Bounds, encodeProgress, type Progress } from './kafka-plan.ts';
import { inTenure } from './kafka-source.ts';
import type { Log } from './log.ts';

/** The batch a handler has, or had when it was last heard of: it outlives the tenure it was handed out in. */
export type Hand = { readonly busId: string; readonly bounds: Bounds; readonly finished: Promise<boolean> };

/** What the workers of a subscription share. */
export type Shop = {
  readonly log: Log;
  readonly options: SubscribeOptions;
  readonly groupId: string;
  readonly handler: PlanHandler;
  /** Aborts when nothing more is to be handed out. */
  readonly stopping: AbortSignal;
  /** By partition. */
  readonly hands: Map<number, Hand>;
};

/** One partition during one tenure. */
export type Work = Shop & {
  readonly tenure: Tenure;
  readonly partition: number;
  readonly desk: Desk;
  readonly busId: string;
};

type Planned = NonNullable<Progress['plan']>;

/** Plans, hands out and acknowledges one batch after the other, until the tenure or the subscription ends. */
export async function work(job: Work, start: Progress): Promise<void> {
  const { intake } = job.desk;
  const ahead = createHandingAhead(intake, job.options, () => going(job));
  const wake = (): void => intake.wake();
  job.stopping.addEventListener('abort', wake, { once: true });
  try {
    let { plan } = start;
    let handled = await wasHandled(job, plan);
    while (going(job)) {
      plan ??= await planNext(job);
      const records = plan && (await collect(job, plan.bounds));
      if (plan === undefined || records === undefined) return;
      // Its records are gone from the log, and what is here begins behind them.
      if (records !== 'gone') {
        if (!handled && !(await hand(job, plan.bounds, records, ahead))) return;
        const next: Progress['plan'] = going(job) ? planOf(job) : undefined;
        if (!(await commit(job, { acked: plan.bounds.to, plan: next }))) return;
        job.hands.delete(job.partition);
        plan = next;
      } else plan = undefined;
      handled = false;
    }
  } finally {
    job.stopping.removeEventListener('abort', wake);
    ahead.end();
  }
}

const going = ({ tenure, stopping }: Work): boolean => !tenure.over.aborted && !stopping.aborted;

/**
 * Waits for a handler of an earlier tenure: a partition has one at a time. Whether it finished the very batch that is still
 * in hand, which then needs no second one.
 */
async function wasHandled({ hands, partition, busId }: Work, plan: Planned | undefined): Promise<boolean> {
  const earlier = hands.get(partition);
  if (earlier === undefined || !(await earlier.finished)) return false;
  const { from, to, atMs } = earlier.bounds;
  const bounds = plan?.bounds;
  return earlier.busId === busId && from === bounds?.from && to === bounds.to && atMs === bounds.atMs;
}

function planOf({ desk: { intake }, options }: Work): Planned | undefined {
  const to = intake.batchEnd(options);
  if (to === undefined || intake.waitMs(options) !== 0) return undefined;
  return { bounds: { from: intake.begin(), to, atMs: Date.now() }, oldestMs: intake.oldestMs()! };
}

/** Waits for records and makes their bounds durable. Undefined when it comes to an end before that. */
async function planNext(job: Work): Promise<Planned | undefined> {
  while (going(job)) {
    const plan = planOf(job);
    if (plan !== undefined) return (await commit(job, { acked: plan.bounds.from, plan })) ? plan : undefined;
    const { intake } = job.desk;
    const waitMs = intake.waitMs(job.options);
    // A fraction of a millisecond is none to a timer.
    const timer = waitMs === undefined ? undefined : setTimeout(intake.wake, Math.ceil(waitMs));
    await intake.changed();
    clearTimeout(timer);
  }
  return undefined;
}

/** Waits until all records of a batch are here. */
async function collect(job: Work, { from, to }: Bounds): Promise<BusRecord[] | 'gone' | undefined> {
  const { intake, balance } = job.desk;
  while (going(job)) {
    if (intake.begin() > from) return 'gone';
    balance(to);
    if (intake.next() >= to) {
      const records = intake.take(to);
      balance(to);
      return records;
    }
    await intake.changed();
  }
  return undefined;
}

/** @returns false when the handler left the batch to whoever has it now */
async function hand(job: Work, bounds: Bounds, records: BusRecord[], ahead: HandingAhead): Promise<boolean> {
  const { hands, partition, busId, handler, options, tenure } = job;
  const { promise: finished, resolve } = Promise.withResolvers<boolean>();
  hands.set(partition, { busId, bounds, finished });
  try {
    const plan = { busId, topic: options.topic, group: options.group, partition, ...bounds, records };
    const handled = handler(plan, tenure.over);
    await Promise.all([handled, ahead.during(handled)]);
    resolve(true);
    return true;
  } catch (error) {
    if (tenure.over.aborted && error === tenure.over.reason) return false;
    throw error;
  } finally {
    resolve(false);
  }
}

/** @returns false when the tenure is over, and the batch with it, unless this member gets both again */
async function commit({ tenure, partition, busId, groupId, log }: Work, progress: Progress): Promise<boolean> {
  const metadata = encodeProgress(busId, progress);
  const committed = await inTenure(tenure, log, async () => {
    try {
      await tenure.commit(partition, progress.acked, metadata);
      return true;
    } catch (error) {
      if (error instanceof TenureOver || isOutOfMembership(error)) return false;
      throw busFault(error, `committing ${groupId}`);
    }
  });
  return committed === true;
}
