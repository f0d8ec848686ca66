/** When each stage had an event in its hands, read from the bus while Bintrail runs: where the time goes. */
import { decodeDelivery } from '@bintrail/notify/delivery.ts';
import type { BusRecord } from '@bintrail/runtime/bus.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import type { TextColumn } from '@bintrail/schemas/column.ts';
import { findingSchema } from '@bintrail/schemas/finding.ts';
import { COMPACTED_TOPICS, TOPICS } from '@bintrail/schemas/topics.ts';

/** Milliseconds since the epoch, by the path of the program; the first time each. */
export type Hops = {
  /** The message with its exec lay on the bus. */
  readonly published: ReadonlyMap<string, number>;
  /** Its finding did. */
  readonly found: ReadonlyMap<string, number>;
  /** Its post was planned: what came before it was the wait for its turn. */
  readonly planned: ReadonlyMap<string, number>;
};

/** Follows the bus of a running Bintrail, for programs whose path begins so. */
export async function watchHops(busPath: string, prefix: string): Promise<Hops & { close(): Promise<void> }> {
  const bus = openSqliteBus({ path: busPath, compactedTopics: COMPACTED_TOPICS });
  const hops = { published: new Map<string, number>(), found: new Map<string, number>(), planned: new Map() };
  const note = (which: Map<string, number>, path: string, { publishedAtMs }: BusRecord) => {
    if (path.startsWith(prefix) && !which.has(path)) which.set(path, publishedAtMs);
  };
  await bus.follow(TOPICS.events, (records) => {
    for (const record of records) for (const path of execPaths(record)) note(hops.published, path, record);
  });
  await bus.follow(TOPICS.findings, (records) => {
    for (const record of records) {
      const { data } = findingSchema.safeParse(JSON.parse(Buffer.from(record.value).toString()));
      if (data !== undefined) note(hops.found, data.path, record);
    }
  });
  await bus.follow(TOPICS.deliveries, (records) => {
    for (const record of records) {
      const delivery = decodeDelivery(record.value);
      if (delivery?.state === 'planned') for (const { path } of delivery.findings) note(hops.planned, path, record);
    }
  });
  return { ...hops, close: bus.close };
}

function execPaths({ value }: BusRecord): string[] {
  const decoded = decodeBatch(value);
  if (!decoded.ok || decoded.batch.type !== 'exec') return [];
  const { dict } = decoded.batch.columns.get('path') as TextColumn;
  return dict.map((path) => Buffer.from(path).toString('latin1'));
}
