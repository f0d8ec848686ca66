import type { Bus } from './bus.ts';
import { oneOf, port, readConfig, setting, text } from './config.ts';
import { SetupError } from './errors.ts';
import type { Health } from './health.ts';
import { openKafkaBus } from './kafka-bus.ts';
import { type KafkaConnection, readKafkaConnection } from './kafka-settings.ts';
import { createLog, type Log } from './log.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { listenOps } from './ops-server.ts';
import { createShutdown, type Shutdown } from './shutdown.ts';

/** What a stage's process is given. */
export type Host = { readonly bus: Bus; readonly log: Log; readonly metrics: Metrics; readonly shutdown: Shutdown };

/** A running stage. */
export type Part = {
  readonly done: Promise<unknown>;
  close(): Promise<void>;
  /** Whether it can work: is a member of its groups, and what it depends on beside the bus answers. Rejects with why not. */
  ready?(): Promise<unknown>;
  /** How it is, and more for `/healthz`. */
  health?(): Health;
  status?(): object;
};

export type ServiceOptions = {
  readonly name: string;
  /** Where `/healthz` and the others are by default: each service has another, so that all run on one machine. */
  readonly opsPort: number;
  /** A topic the service cannot do without: not ready while the bus cannot describe it. */
  readonly topic: string;
};

/** sysexits.h EX_CONFIG: something about the host or the settings must change first. */
const EXIT_SETUP = 78;
/** Less than the 30 s an orchestrator waits: what a stage has in hand is finished or left to the next. */
const CLOSE_BOUND_MS = 25_000;

/**
 * A stage as a process of its own over Kafka, for `main.ts` only: reads KAFKA_…, BINTRAIL_OPS_HOST, BINTRAIL_OPS_PORT and
 * BINTRAIL_LOG_LEVEL, closes in order at SIGTERM, ends with 78 when the set-up is at fault and with 1 on a bug.
 */
export async function runService(options: ServiceOptions, start: (host: Host) => Promise<Part>): Promise<void> {
  const { name, opsPort } = options;
  try {
    const config = readConfig(process.env, {
      level: setting('BINTRAIL_LOG_LEVEL', oneOf('debug', 'info', 'warn', 'error'), 'info'),
      host: setting('BINTRAIL_OPS_HOST', text, '127.0.0.1'),
      port: setting('BINTRAIL_OPS_PORT', port, opsPort),
    });
    const log = createLog({ level: config.level, name, human: process.stderr.isTTY === true });
    const shutdown = createShutdown({ log, boundMs: CLOSE_BOUND_MS });
    const metrics = createMetrics();
    const bus = openMeteredBus(readKafkaConnection(process.env, `bintrail-${name}`), log, metrics);
    shutdown.onClose('bus', bus.close);
    let part: Part | undefined;
    const ready = async (): Promise<void> => {
      if (part === undefined) throw new Error('starting');
      await Promise.all([bus.lag(options.topic, name), part.ready?.()]);
    };
    const health = () => ({
      service: name,
      state: part === undefined ? 'starting' : 'up',
      ...part?.status?.(),
      ...part?.health?.(),
    });
    const ops = await listenOps({ host: config.host, port: config.port, metrics, health, ready });
    shutdown.onClose('ops', ops.close);
    log.info({ url: ops.url }, 'starting');
    part = await start({ bus, log, metrics, shutdown }).catch((error: unknown) => {
      // Asked to end meanwhile: what it started with was closed under it.
      if (shutdown.signal.aborted) return undefined;
      throw error;
    });
    if (part === undefined) return;
    shutdown.onClose(name, part.close);
    part.done.catch(shutdown.fail);
    log.info({ url: ops.url }, 'up');
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    process.stderr.write(`\n${error.message}\n\nWhat to do: ${error.remedy}\n`);
    process.exit(EXIT_SETUP);
  }
}

/** A Kafka bus whose losses are counted. */
export function openMeteredBus(connection: KafkaConnection, log: Log, metrics: Metrics): Bus {
  const help = 'Records that were gone from the bus before a group came to them.';
  const gone = metrics.counter('bus_gone_total', help, ['topic', 'group']);
  return openKafkaBus({ connection, log, onGone: ({ topic, group, records }) => gone.inc({ topic, group }, records) });
}
