import type { BusRecord } from './bus.ts';
import type { Range } from './kafka-cluster.ts';
import type { Arrival, Tenure } from './kafka-member.ts';
import { inTenure, type Reading, type Source, stayMember, whereToGoOn } from './kafka-source.ts';

/** Somebody who wants to know when everything before these ends was handed over. */
type Waiter = { readonly ends: ReadonlyMap<number, Range>; readonly resolve: () => void };

/**
 * Reads a topic from its beginning; `caughtUp` resolves once its end as of the call was handed over. kafkajs reads only as
 * a member of a group, so this one has a group of its own, which commits nothing and vanishes with it.
 */
export function follow(
  source: Source,
  groupId: string,
  topic: string,
  handler: (records: readonly BusRecord[], partition: number) => void,
): Reading & { readonly caughtUp: Promise<void>; catchUp(): Promise<void> } {
  const { cluster, log } = source;
  const leaving = new AbortController();
  const waiting = new Set<Waiter>();
  const first = Promise.withResolvers<void>();
  /** The offset to read next, by partition; of every partition once the first tenure has begun. */
  const places = new Map<number, number>();
  let begun = false;
  let failure: { error: unknown } | undefined;

  const fail = (error: unknown): void => {
    failure ??= { error };
    leaving.abort();
  };
  const checkEnd = (): void => {
    for (const waiter of waiting) {
      if ([...waiter.ends].some(([partition, { high }]) => (places.get(partition) ?? 0) < high)) continue;
      waiting.delete(waiter);
      waiter.resolve();
    }
  };
  const goOn = async (tenure: Tenure, partition: number): Promise<void> => {
    const wanted = places.get(partition)!;
    const found = await inTenure(tenure, log, () => whereToGoOn(cluster, topic, partition, wanted));
    if (found === undefined) return;
    if (found.gone > 0) source.onGone({ topic, group: groupId, partition, records: found.gone });
    places.set(partition, found.offset);
    tenure.seek(partition, found.offset);
    checkEnd();
  };
  const onTenure = async (tenure: Tenure): Promise<void> => {
    const ranges = await inTenure(tenure, log, () => cluster.ranges(topic));
    if (ranges === undefined) return;
    if (!begun) waiting.add({ ends: ranges, resolve: first.resolve });
    begun = true;
    for (const [partition, { low }] of ranges) if (!places.has(partition)) places.set(partition, low);
    for (const partition of tenure.partitions) {
      tenure.seek(partition, places.get(partition)!);
      tenure.resume(partition);
    }
    checkEnd();
  };
  const onArrival = (tenure: Tenure, { partition, askedFrom, next, records }: Arrival): void => {
    const place = places.get(partition);
    if (leaving.signal.aborted || place === undefined) return;
    if (askedFrom !== undefined && askedFrom !== place) {
      goOn(tenure, partition).catch(fail);
      return;
    }
    try {
      if (records.length > 0) handler(records, partition);
    } catch (error) {
      fail(error);
      return;
    }
    places.set(partition, Math.max(place, next));
    checkEnd();
  };

  const { createClient, timing } = source;
  const start = (tenure: Tenure): void => void onTenure(tenure).catch(fail);
  const run = async (): Promise<void> => {
    await stayMember({ createClient, topic, groupId, timing, log, onTenure: start, onArrival }, leaving.signal).catch(
      fail,
    );
    if (failure !== undefined) throw failure.error;
  };
  const running = run();
  const settled = running.catch(() => {});
  return {
    settled,
    caughtUp: first.promise,
    async catchUp() {
      const reached = Promise.withResolvers<void>();
      waiting.add({ ends: await cluster.ranges(topic), resolve: reached.resolve });
      checkEnd();
      await Promise.race([reached.promise, running]);
    },
    // Derived, and with no listener of ours: when nobody awaits it, a failure ends the process.
    done: running.then(() => {}),
    async close() {
      leaving.abort();
      await settled;
    },
  };
}
