/**
 * What the bus took, read by a group of our own: what nobody else may lose. The group joins before the first start and
 * reads only while Bintrail is down, so that no connection of ours stands in for those that were killed.
 */
import { join } from 'node:path';
import { lookupUser } from '@bintrail/runtime/privileges.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { type Batch, decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { COMPACTED_TOPICS, TOPICS } from '@bintrail/schemas/topics.ts';
import { takeHome } from '@bintrail/standalone/home.ts';
import { eventually } from '../e2e/bintrail.ts';

const GROUP = { topic: TOPICS.events, group: 'drills', maxRecords: 1_000, maxBytes: 16 * 1024 * 1024 };

/** Joins, and reads what is there; makes home and bus where there are none. Messages that came twice count once. */
export async function takeFromBus(homeDir: string): Promise<Batch[]> {
  const home = takeHome(homeDir, homeDir, lookupUser('bintrail'));
  try {
    return await readAll(join(home.reachablePath, 'bus.db'));
  } finally {
    home.release();
  }
}

async function readAll(path: string): Promise<Batch[]> {
  const bus = openSqliteBus({ path, compactedTopics: COMPACTED_TOPICS });
  const batches = new Map<string, Batch>();
  try {
    const subscription = bus.subscribe(GROUP, async ({ records }) => {
      for (const { value } of records) {
        const decoded = decodeBatch(value);
        if (!decoded.ok) throw new Error(`the bus holds no message: ${decoded.reason}: ${decoded.detail}`);
        const { boot, probeEpoch, batchSeq } = decoded.batch;
        batches.set(`${boot}:${probeEpoch}:${batchSeq}`, decoded.batch);
      }
    });
    await eventually('all of the bus is read', 60_000, async () =>
      (await bus.lag(TOPICS.events, GROUP.group)).records === 0 ? true : undefined,
    );
    await subscription.close();
    await subscription.done;
  } finally {
    await bus.close();
  }
  return [...batches.values()];
}
