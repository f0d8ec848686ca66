import { join } from 'node:path';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { COMPACTED_TOPICS } from '@bintrail/schemas/topics.ts';
import type { DrilledBus } from './drilled-bus.ts';

const MIB = 1024 * 1024;

/** The embedded bus; nothing is compacted or removed while a drill looks. */
export const sqlite: DrilledBus = {
  name: 'sqlite',
  open: (location) =>
    openSqliteBus({ path: join(location, 'bus.db'), compactedTopics: COMPACTED_TOPICS, upkeepEveryMs: 1e9 }),
  // Ingest plans at most 16 MiB, detect one.
  oversizedBytes: 17 * MIB,
};
