import { setTimeout as delay } from 'node:timers/promises';
import { SetupError, Transient } from '@bintrail/runtime/errors.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import { migrate, readMigrations } from '@bintrail/runtime/migrate.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { RETENTION_MS } from '@bintrail/schemas/topics.ts';

const MIGRATIONS = new URL('../../../schemas/migrations/', import.meta.url);
const TRIES = 30;

/**
 * Brings the store to this version's tables; several processes may do so at a time. A server that is just starting is
 * waited for.
 * @throws SetupError when it does not answer within half a minute, or is another version's
 */
export async function migrateWhenUp(store: Store, cluster: string | undefined, log: Log): Promise<void> {
  const migrations = readMigrations(MIGRATIONS);
  const schema = cluster === undefined ? undefined : { cluster, deduplicationSeconds: RETENTION_MS / 1000 };
  for (let triesLeft = TRIES; ; triesLeft--) {
    try {
      await migrate(store, migrations, schema);
      return;
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      if (triesLeft === 0) throw new SetupError(`the store does not answer: ${error.message}`, 'check CLICKHOUSE_URL');
      log.warn({ err: error }, 'the store does not answer yet');
      await delay(1_000);
    }
  }
}
