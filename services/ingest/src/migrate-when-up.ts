import { SetupError } from '@bintrail/runtime/errors.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import { migrate, readMigrations } from '@bintrail/runtime/migrate.ts';
import { retry } from '@bintrail/runtime/retry.ts';
import type { Store } from '@bintrail/runtime/store.ts';
import { RETENTION_MS } from '@bintrail/schemas/topics.ts';

const MIGRATIONS = new URL('../../../schemas/migrations/', import.meta.url);
const PATIENCE_MS = 30_000;
const BACKOFF = { baseMs: 500, capMs: 2_000 };

/**
 * Brings the store to this version's tables; several processes may do so at a time. A server that is just starting is
 * waited for.
 * @throws SetupError when it does not answer within half a minute, or is another version's
 */
export async function migrateWhenUp(store: Store, cluster: string | undefined, log: Log): Promise<void> {
  const migrations = readMigrations(MIGRATIONS);
  const schema = cluster === undefined ? undefined : { cluster, deduplicationSeconds: RETENTION_MS / 1000 };
  const patience = AbortSignal.timeout(PATIENCE_MS);
  try {
    await retry(
      () => migrate(store, migrations, schema),
      BACKOFF,
      patience,
      (error) => log.warn({ err: error }, 'the store does not answer yet'),
    );
  } catch (error) {
    if (error !== patience.reason) throw error;
    throw new SetupError(`the store did not answer within ${PATIENCE_MS / 1000} s`, 'check CLICKHOUSE_URL');
  }
}
