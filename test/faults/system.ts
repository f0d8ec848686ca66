/** A fleet's pipeline on this machine: three brokers, ClickHouse, a process for each stage, a Slack, and a real probe. */
import { appendFileSync, chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bus } from '@bintrail/runtime/bus.ts';
import { openKafkaBus } from '@bintrail/runtime/kafka-bus.ts';
import type { KafkaConnection } from '@bintrail/runtime/kafka-settings.ts';
import { ensureTopics } from '@bintrail/runtime/kafka-topics.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { topicShapes } from '@bintrail/schemas/topics.ts';
import { freePorts, type KafkaCluster, type KafkaNode, startKafka } from '../kafka/broker.ts';
import { type Answer, eventually, request } from '../src/e2e/bintrail.ts';
import { type Bpffs, mountBpffs } from '../src/kernel/bpffs.ts';
import { type SlackReceiver, startSlackReceiver } from '../src/slack-receiver.ts';
import { type Engine, startEngine } from './engine.ts';
import { SERVICES, type ServiceName } from './plan.ts';
import { type Supervised, supervise } from './supervised.ts';

/** What the real probe is called; the simulated nodes have other names. */
export const NODE = 'drilled-node';
const PARTITIONS = 6;
/** Small, so that a drill can fill it. */
const OUTBOX_SIZE = '1MiB';
const SESSION_TIMEOUT = '6s';
const UP_MS = 60_000;

export type System = {
  readonly folder: string;
  readonly kafka: KafkaCluster;
  readonly brokers: Brokers;
  readonly engine: Engine;
  readonly slack: SlackReceiver;
  readonly censusFolder: string;
  /** The bus as the simulated fleet and the account use it. */
  readonly bus: Bus;
  /** All copies of each stage that should be running. */
  readonly crews: ReadonlyMap<ServiceName, Supervised[]>;
  /** Another copy, not started. */
  newCopy(name: ServiceName): Supervised;
  call(method: string, path: string, body?: unknown): Promise<Answer>;
  /** What `/healthz` of the first copy says. */
  health(name: ServiceName): Promise<Record<string, unknown>>;
  /** Everything no process may do: ends nobody asked for, errors in logs. */
  complaints(): string[];
  /** Ends everything. Returns the folder of the logs where they are to be kept. */
  close(keepLogs: boolean): Promise<string | undefined>;
};

/** Starts brokers without waiting for it: a JVM takes seconds, in which other things may go wrong. */
export type Brokers = {
  start(node: KafkaNode): void;
  /** Resolves when its last start is over; rejects when it failed. */
  started(node: KafkaNode): Promise<void>;
  allStarted(): Promise<void>;
};

function watchBrokers(): Brokers {
  const starts = new Map<KafkaNode, Promise<void>>();
  return {
    start(node) {
      const starting = node.start();
      // Whoever needs the broker awaits it, and hears of it then.
      starting.catch(() => {});
      starts.set(node, starting);
    },
    started: async (node) => starts.get(node),
    async allStarted() {
      await Promise.all(starts.values());
    },
  };
}

export async function startSystem(): Promise<System> {
  const folder = mkdtempSync(join(tmpdir(), 'bintrail-faults-'));
  // The engine's user must get through.
  for (const name of ['', 'engine', 'home', 'logs']) mkdirSync(join(folder, name), { recursive: true, mode: 0o755 });
  chmodSync(folder, 0o755);
  const busLog = join(folder, 'logs', 'drills.log');
  const log = createLog({ level: 'info', name: 'drills', write: (line) => appendFileSync(busLog, line) });
  const kafka = await startKafka({ brokers: 3, folder: join(folder, 'kafka') });
  const connection: KafkaConnection = { brokers: kafka.brokers.split(','), clientId: 'drills', prefix: '' };
  await ensureTopics(connection, topicShapes({ partitions: PARTITIONS, retentionMs: 3_600_000 }), log);
  const [enginePort = 0, apiPort = 0, ...opsPorts] = await freePorts(2 + SERVICES.length);
  const engine = await startEngine(join(folder, 'engine'), enginePort, join(folder, 'logs', 'clickhouse.log'));
  const slack = await startSlackReceiver();
  const bpffs = await mountBpffs();
  const settings = settingsOf(folder, kafka, engine, slack, bpffs, apiPort);
  const made: Supervised[] = [engine.process];
  const newCopy = (name: ServiceName, opsPort = 0): Supervised => {
    const copy = supervise({
      name,
      command: [process.execPath, fileURLToPath(new URL(`../../services/${name}/src/main.ts`, import.meta.url))],
      env: { ...settings, BINTRAIL_OPS_PORT: String(opsPort) },
      logFile: join(folder, 'logs', `${name}.log`),
    });
    made.push(copy);
    return copy;
  };
  const crews = new Map(SERVICES.map((name, at) => [name, [newCopy(name, opsPorts[at])]]));
  crews.get('ingest')!.push(newCopy('ingest'));
  const bus = openKafkaBus({ connection, log });
  const system: System = {
    ...{ folder, kafka, brokers: watchBrokers(), engine, slack, bus, crews, newCopy, censusFolder: bpffs.folder },
    call: (method, path, body) => {
      const token = readFileSync(join(folder, 'home', 'token'), 'utf8').trim();
      return request(`http://127.0.0.1:${apiPort}${path}`, method, token, body);
    },
    health: async (name) =>
      (await fetch(`http://127.0.0.1:${opsPorts[SERVICES.indexOf(name)]}/healthz`)).json() as never,
    complaints: () => made.flatMap((each) => each.complaints),
    async close(keepLogs) {
      await Promise.all(made.slice(1).map((each) => each.kill()));
      await bus.close();
      await engine.store.close();
      await Promise.all([engine.process.kill(), kafka.stop(), slack.close()]);
      await bpffs.remove();
      const kept = keepLogs ? `${folder}-logs` : undefined;
      if (kept !== undefined) renameSync(join(folder, 'logs'), kept);
      rmSync(folder, { recursive: true, force: true });
      return kept;
    },
  };
  await startAll(system).catch(async (error: unknown) => {
    console.error(`logs are in ${await system.close(true)}`);
    throw error;
  });
  return system;
}

function settingsOf(
  folder: string,
  kafka: KafkaCluster,
  engine: Engine,
  slack: SlackReceiver,
  bpffs: Bpffs,
  apiPort: number,
): NodeJS.ProcessEnv {
  return {
    KAFKA_BROKERS: kafka.brokers,
    KAFKA_PREFIX: '',
    KAFKA_SESSION_TIMEOUT: SESSION_TIMEOUT,
    CLICKHOUSE_URL: engine.url,
    SLACK_WEBHOOK_URL: slack.url,
    BINTRAIL_HOME: join(folder, 'home'),
    BINTRAIL_PORT: String(apiPort),
    BINTRAIL_NODE: NODE,
    BINTRAIL_CENSUS: bpffs.folder,
    BINTRAIL_OUTBOX_SIZE: OUTBOX_SIZE,
    // Starts are many here.
    NODE_COMPILE_CACHE: join(folder, 'compile-cache'),
  };
}

async function startAll(system: System): Promise<void> {
  for (const crew of system.crews.values()) for (const copy of crew) copy.start();
  for (const name of SERVICES) await up(system, name);
}

/** Resolves when the first copy of a stage says that it is up; rejects at once when one has ended by itself. */
export async function up(system: System, name: ServiceName): Promise<void> {
  await eventually(`${name} is up`, UP_MS, async () => {
    const complaints = system.complaints();
    if (complaints.length > 0) throw new Error(complaints.join('\n'));
    const said = await system.health(name).catch(() => undefined);
    return said?.state === 'up' || said?.state === 'degraded' ? true : undefined;
  });
}
