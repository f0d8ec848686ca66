import type { BusRecord, Plan, SubscribeOptions } from './bus.ts';
import { createDesk, type Desk } from './kafka-desk.ts';
import { busFault, isOutOfMembership } from './kafka-errors.ts';
import { type Arrival, type Tenure, TenureOver } from './kafka-member.ts';
import { type Bounds, encodeProgress, type Progress } from './kafka-plan.ts';
import { inTenure, type Reading, type Source, stayMember } from './kafka-source.ts';

/** The batch a handler has, or had when it was last heard of: it outlives the tenure it was handed out in. */
type Hand = { readonly busId: string; readonly bounds: Bounds; readonly finished: Promise<boolean> };

/** Fetches that come before it is known where to begin; more are dropped and fetched again. */
const EARLY_MAX = 8;

/** Joins the group and hands out plans, one at a time for each partition this member is given, until closed. */
export function subscribe(
  source: Source,
  groupId: string,
  options: SubscribeOptions,
  handler: (plan: Plan) => Promise<void>,
): Reading {
  if (options.maxRecords < 1) throw new RangeError('maxRecords must be at least 1');
  const { cluster, log } = source;
  const { topic, group } = options;
  const stopping = new AbortController();
  const leaving = new AbortController();
  const hands = new Map<number, Hand>();
  const desks = new WeakMap<Tenure, Map<number, Desk>>();
  const early = new WeakMap<Tenure, Arrival[]>();
  const working = new Set<Promise<void>>();
  let failure: { error: unknown } | undefined;

  const fail = (error: unknown): void => {
    failure ??= { error };
    stopping.abort();
  };
  const track = (work: Promise<void>): void => {
    const watched = work.catch(fail).finally(() => working.delete(watched));
    working.add(watched);
  };

  const onTenure = (tenure: Tenure): void => {
    early.set(tenure, []);
    track(takeUp(tenure));
  };
  const onArrival = (tenure: Tenure, arrival: Arrival): void => {
    const waiting = early.get(tenure);
    if (waiting === undefined) desks.get(tenure)?.get(arrival.partition)?.arrive(arrival);
    else if (waiting.length < EARLY_MAX) waiting.push(arrival);
  };
  /** Reads what the group has done with each partition, and starts a worker for it. */
  const takeUp = async (tenure: Tenure): Promise<void> => {
    const known = await inTenure(tenure, log, async () => {
      const [busId, ranges] = await Promise.all([cluster.topicId(topic), cluster.ranges(topic)]);
      return { busId, ranges, progress: await cluster.progress(busId, topic, groupId) };
    });
    if (known === undefined || stopping.signal.aborted) return;
    const { busId, ranges } = known;
    const mine = new Map<number, Desk>();
    for (const partition of tenure.partitions) {
      const { low, high } = ranges.get(partition) ?? { low: 0, high: 0 };
      const committed = known.progress.get(partition);
      const inRange = committed === undefined || (committed.acked >= low && committed.acked <= high);
      const progress = committed && inRange ? committed : { acked: committed && committed.acked > high ? high : low };
      if (!inRange) source.onGone({ topic, group, partition, records: Math.abs(committed.acked - progress.acked) });
      if (committed === undefined || !inRange) tenure.seek(partition, progress.acked);
      const desk = createDesk(source, tenure, partition, progress.acked, options, fail);
      mine.set(partition, desk);
      track(work(tenure, partition, desk, busId, progress));
    }
    desks.set(tenure, mine);
    const waiting = early.get(tenure) ?? [];
    early.delete(tenure);
    for (const arrival of waiting) mine.get(arrival.partition)?.arrive(arrival);
  };

  /** One partition during one tenure: plan, hand out, acknowledge. Ends with the tenure, or when the subscription closes. */
  const work = async (tenure: Tenure, partition: number, desk: Desk, busId: string, start: Progress): Promise<void> => {
    const { intake } = desk;
    const going = () => !tenure.over.aborted && !stopping.signal.aborted;
    const commit = (progress: Progress) => commitIn(tenure, partition, busId, progress);
    const wake = (): void => intake.wake();
    stopping.signal.addEventListener('abort', wake, { once: true });
    try {
      let { plan } = start;
      let handled = await wasHandled(partition, busId, plan);
      while (going()) {
        if (plan === undefined) {
          plan = await nextPlan(desk, going);
          if (plan === undefined || !(await commit({ acked: plan.bounds.from, plan }))) return;
        }
        const records = await collect(desk, plan.bounds, going);
        if (records === 'gone') {
          plan = undefined;
          continue;
        }
        if (records === undefined) return;
        if (!handled) await hand(partition, busId, plan.bounds, records);
        handled = false;
        const next: Progress['plan'] = going() ? planOf(desk) : undefined;
        if (!(await commit({ acked: plan.bounds.to, plan: next }))) return;
        hands.delete(partition);
        plan = next;
      }
    } finally {
      stopping.signal.removeEventListener('abort', wake);
    }
  };
  /** Waits for a handler of an earlier tenure. Whether it finished the very batch that is still in hand. */
  const wasHandled = async (partition: number, busId: string, plan: Progress['plan']): Promise<boolean> => {
    const earlier = hands.get(partition);
    if (earlier === undefined || !(await earlier.finished)) return false;
    const { from, to, atMs } = earlier.bounds;
    const { bounds } = plan ?? {};
    return earlier.busId === busId && from === bounds?.from && to === bounds.to && atMs === bounds.atMs;
  };
  const planOf = ({ intake }: Desk): Progress['plan'] => {
    const to = intake.batchEnd(options);
    return to === undefined
      ? undefined
      : { bounds: { from: intake.begin(), to, atMs: Date.now() }, oldestMs: intake.oldestMs()! };
  };
  const nextPlan = async (desk: Desk, going: () => boolean): Promise<Progress['plan']> => {
    for (;;) {
      const plan = planOf(desk);
      if (plan !== undefined || !going()) return going() ? plan : undefined;
      await desk.intake.changed();
    }
  };
  const collect = async (
    desk: Desk,
    { from, to }: Bounds,
    going: () => boolean,
  ): Promise<BusRecord[] | 'gone' | undefined> => {
    for (;;) {
      if (!going()) return undefined;
      if (desk.intake.begin() > from) return 'gone';
      desk.balance(to);
      if (desk.intake.next() >= to) break;
      await desk.intake.changed();
    }
    const records = desk.intake.take(to);
    desk.balance(to);
    return records;
  };
  const hand = async (partition: number, busId: string, bounds: Bounds, records: BusRecord[]): Promise<void> => {
    const { promise: finished, resolve } = Promise.withResolvers<boolean>();
    hands.set(partition, { busId, bounds, finished });
    try {
      await handler({ busId, topic, group, partition, ...bounds, records });
      resolve(true);
    } finally {
      resolve(false);
    }
  };
  /** @returns false when the tenure is over, and the batch with it, unless this member gets both again */
  const commitIn = async (tenure: Tenure, partition: number, busId: string, progress: Progress): Promise<boolean> => {
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
  };

  const run = async (): Promise<void> => {
    const { createClient, timing } = source;
    const member = stayMember({ createClient, topic, groupId, timing, log, onTenure, onArrival }, leaving.signal).catch(
      fail,
    );
    await aborted(stopping.signal);
    while (working.size > 0) await Promise.all(working);
    leaving.abort();
    await member;
    if (failure !== undefined) throw failure.error;
  };
  const running = run();
  const settled = running.catch(() => {});
  return {
    settled,
    // Derived, and with no listener of ours: when nobody awaits it, a failure ends the process.
    done: running.then(() => {}),
    async close() {
      stopping.abort();
      await settled;
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
