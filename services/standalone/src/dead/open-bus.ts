/** The bus of a Bintrail that runs or does not, for a command beside it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { type Env, optional, readConfig, text } from '@bintrail/runtime/config.ts';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { openKafkaBus } from '@bintrail/runtime/kafka-bus.ts';
import { readKafkaConnection } from '@bintrail/runtime/kafka-settings.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { COMPACTED_TOPICS } from '@bintrail/schemas/topics.ts';
import { visitHome } from '../home.ts';

export type OpenBus = { readonly bus: Bus; close(): Promise<void> };

/**
 * Opens the bus the settings name, as a process beside those that use it. KAFKA_BROKERS comes before
 * BINTRAIL_HOME. The files of the embedded one belong to its
 * folder's owner, and root opens them as that user.
 * @throws SetupError when there is none
 */
export function openBus(env: Env, checkout: string, log: Log): OpenBus {
  const { homeDir, brokers } = readConfig(env, {
    homeDir: optional('BINTRAIL_HOME', text),
    brokers: optional('KAFKA_BROKERS', text),
  });
  if (brokers !== undefined) {
    const bus = openKafkaBus({ connection: readKafkaConnection(env, 'bintrail-dead'), log });
    return { bus, close: bus.close };
  }
  const home = visitHome(homeDir, checkout);
  try {
    const path = join(home.reachablePath, 'bus.db');
    if (!existsSync(path)) {
      throw new SetupError(`${home.path} holds no bus`, 'set BINTRAIL_HOME to the data folder of a Bintrail');
    }
    const bus = openSqliteBus({ path, compactedTopics: COMPACTED_TOPICS });
    return { bus, close: () => bus.close().finally(home.release) };
  } catch (error) {
    home.release();
    throw error;
  }
}
