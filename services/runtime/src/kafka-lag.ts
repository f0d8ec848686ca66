import type { Cluster, Range } from './kafka-cluster.ts';
import type { Progress } from './kafka-plan.ts';

/** Finer than a scrape, and 20 questions for a week. */
const AGE_STEP_MS = 1_000;
const WEEK_MS = 7 * 24 * 3600 * 1000;

/**
 * Records the group has not acknowledged, and the age of the oldest. A batch in hand says when its first record was
 * published. Where there is none, nobody has come to the records yet: their time is searched for, to a second.
 */
export async function readLag(cluster: Cluster, topic: string, groupId: string) {
  if ((await cluster.partitions(topic)) === 0) return { records: 0, oldestAgeMs: 0 };
  const [busId, ranges] = await Promise.all([cluster.topicId(topic), cluster.ranges(topic)]);
  const progress = await cluster.progress(busId, topic, groupId, ranges.keys());
  const behind = [...ranges].filter(([partition, range]) => waiting(range, progress.get(partition)) > 0);
  const records = behind.reduce((sum, [partition, range]) => sum + waiting(range, progress.get(partition)), 0);
  const nowMs = Date.now();
  let oldestMs = nowMs;
  for (const [partition, range] of behind) {
    const done = progress.get(partition);
    const atMs =
      done?.plan?.oldestMs ?? (await publishedAt(cluster, topic, partition, done?.acked ?? range.low, nowMs));
    oldestMs = Math.min(oldestMs, atMs);
  }
  return { records, oldestAgeMs: nowMs - oldestMs };
}

const waiting = ({ low, high }: Range, progress: Progress | undefined): number =>
  Math.max(0, high - Math.max(low, progress?.acked ?? low));

/** When the record at `offset` was published, at most `AGE_STEP_MS` late: brokers only say which offset a time has. */
async function publishedAt(
  cluster: Cluster,
  topic: string,
  partition: number,
  offset: number,
  nowMs: number,
): Promise<number> {
  let early = nowMs - WEEK_MS;
  let late = nowMs;
  while (late - early > AGE_STEP_MS) {
    const middle = Math.floor((early + late) / 2);
    const found = (await cluster.offsetsAt(topic, middle)).get(partition) ?? 0;
    if (found > offset) late = middle;
    else early = middle;
  }
  return early;
}
