import type { GiveUp, Hold, PlanHandler, SubscribeOptions, Subscription } from './bus.ts';
import { createDesk, type Desk } from './kafka-desk.ts';
import { gatherOf } from './kafka-intake.ts';
import type { Arrival, Tenure } from './kafka-member.ts';
import type { Progress } from './kafka-plan.ts';
import { inTenure, type Reading, type Source, stayMember } from './kafka-source.ts';
import { type Shop, work } from './kafka-work.ts';

/** Joins the group and hands out plans, one at a time for each partition this member is given, until closed. */
export function subscribe(
  source: Source,
  groupId: string,
  options: SubscribeOptions,
  handler: PlanHandler,
): Reading & Subscription {
  if (options.maxRecords < 1) throw new RangeError('maxRecords must be at least 1');
  const { createClient, timing, log } = source;
  const stopping = new AbortController();
  const leaving = new AbortController();
  const crew = createCrew(() => stopping.abort());
  const shop: Shop = { log, options, groupId, handler, stopping: stopping.signal, hands: new Map() };
  const reception = createReception(source, shop, crew);

  const run = async (): Promise<void> => {
    const { onTenure, onLeaving, onArrival } = reception;
    const membership = {
      ...{ createClient, topic: options.topic, groupId, timing, gatherMs: options.gatherMs, log },
      ...{ onTenure, onLeaving, onArrival },
    };
    const member = stayMember(membership, leaving.signal).catch(crew.fail);
    await aborted(stopping.signal);
    // Still a member, so that what handlers finish now can be acknowledged.
    await crew.finished();
    // Its last act is `onLeaving`.
    leaving.abort();
    await member;
    crew.check();
  };
  const running = run();
  const settled = running.catch(() => {});
  return {
    settled,
    isMember: reception.isMember,
    // Derived, and with no listener of ours: when nobody awaits it, a failure ends the process.
    done: running.then(() => {}),
    async close() {
      stopping.abort();
      await settled;
    },
  };
}

type Crew = ReturnType<typeof createCrew>;

/** The work under way, and the first thing that failed in it. */
function createCrew(onFailure: () => void) {
  const working = new Set<Promise<void>>();
  let failure: { error: unknown } | undefined;
  const fail = (error: unknown): void => {
    failure ??= { error };
    onFailure();
  };
  return {
    fail,
    start(job: Promise<void>): void {
      const watched = job.catch(fail).finally(() => working.delete(watched));
      working.add(watched);
    },
    async finished(): Promise<void> {
      while (working.size > 0) await Promise.all(working);
    },
    check(): void {
      if (failure !== undefined) throw failure.error;
    },
  };
}

/** Gives each partition of a tenure a worker, and the workers what was fetched. */
function createReception(source: Source, shop: Shop, crew: Crew) {
  const desks = new WeakMap<Tenure, Map<number, Desk>>();
  const held = new WeakMap<Tenure, GiveUp[]>();
  let current: Tenure | undefined;

  const takeUp = (tenure: Tenure): void => {
    const mine = new Map<number, Desk>();
    desks.set(tenure, mine);
    held.set(tenure, []);
    for (const partition of tenure.partitions) crew.start(attend(tenure, partition, mine));
  };
  const attend = async (tenure: Tenure, partition: number, mine: Map<number, Desk>): Promise<void> => {
    if (!(await take(tenure, partition))) return;
    const known = await inTenure(tenure, shop.log, () => readProgress(source, shop));
    if (known === undefined || shop.stopping.aborted) return;
    const progress = known.start(partition);
    const desk = createDesk(source, tenure, partition, progress.acked, shop.options, crew.fail);
    mine.set(partition, desk);
    tenure.seek(partition, progress.acked);
    tenure.resume(partition);
    const options = { ...shop.options, gatherMs: gatherOf(shop.options, tenure.partitions.length) };
    await work({ ...shop, options, tenure, partition, desk, busId: known.busId }, progress);
  };
  /** @returns false when the tenure was over before the subscriber was ready for the partition */
  const take = async (tenure: Tenure, partition: number): Promise<boolean> => {
    const { taken } = shop.options;
    if (taken === undefined) return true;
    const hold: Hold = { partition, over: tenure.over, isOurs: tenure.isOurs };
    const giveUp = await inTenure(tenure, shop.log, async () => (shop.stopping.aborted ? undefined : taken(hold)));
    if (giveUp === undefined) return false;
    held.get(tenure)?.push(giveUp);
    return !tenure.over.aborted;
  };
  return {
    isMember: () => current !== undefined && !current.over.aborted,
    onTenure(tenure: Tenure): void {
      current = tenure;
      takeUp(tenure);
    },
    async onLeaving(tenure: Tenure): Promise<void> {
      await Promise.all((held.get(tenure) ?? []).map((giveUp) => giveUp())).catch(crew.fail);
    },
    onArrival: (tenure: Tenure, arrival: Arrival): void => desks.get(tenure)?.get(arrival.partition)?.arrive(arrival),
  };
}

/** What the group has done, as of now: nobody else can commit for the partitions of a running tenure. */
async function readProgress({ cluster, onGone }: Source, { options: { topic, group }, groupId }: Shop) {
  const [busId, ranges] = await Promise.all([cluster.topicId(topic), cluster.ranges(topic)]);
  const committed = await cluster.progress(busId, topic, groupId, ranges.keys());
  const start = (partition: number): Progress => {
    const { low, high } = ranges.get(partition) ?? { low: 0, high: 0 };
    const progress = committed.get(partition) ?? { acked: low };
    if (progress.acked >= low && progress.acked <= high) return progress;
    // Retention removed what was not read yet, or a replica without the newest records became leader.
    const acked = progress.acked < low ? low : high;
    onGone({ topic, group, partition, records: Math.abs(progress.acked - acked) });
    return { acked };
  };
  return { busId, start };
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
