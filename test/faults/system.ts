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

/** A process of a stage, and what its `/healthz` says; rejects while it does not answer. */
export type Copy = Supervised & { health(): Promise<Record<string, unknown>> };

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
  readonly crews: ReadonlyMap<ServiceName, Copy[]>;
  /** Another copy, not started. */
  newCopy(name: ServiceName): Promise<Copy>;
  /** Copies of the api: the first takes changes, the other only reads. */
  readonly apis: readonly string[];
  /** Asks a copy of the api, the first by default. */
  call(method: string, path: string, body?: unknown, api?: string): Promise<Answer>;
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
  const [enginePort = 0, ...apiPorts] = await freePorts(3);
  const engine = await startEngine(join(folder, 'engine'), enginePort, join(folder, 'logs', 'clickhouse.log'));
  const slack = await startSlackReceiver();
  const bpffs = await mountBpffs();
  const settings = settingsOf(folder, kafka, engine, slack, bpffs);
  const apis = apiPorts.map((port) => `http://127.0.0.1:${port}`);
  const made: Supervised[] = [engine.process];
  const newCopy = async (name: ServiceName, more: NodeJS.ProcessEnv = {}): Promise<Copy> => {
    const [opsPort] = await freePorts(1);
    const copy = supervise({
      name,
      command: [process.execPath, fileURLToPath(new URL(`../../services/${name}/src/main.ts`, import.meta.url))],
      env: { ...settings, BINTRAIL_OPS_PORT: String(opsPort), ...more },
      logFile: join(folder, 'logs', `${name}.log`),
    });
    made.push(copy);
    const health = async () => (await fetch(`http://127.0.0.1:${opsPort}/healthz`)).json() as never;
    return Object.assign(copy, { health });
  };
  const crews = await hire(newCopy, apis);
  const bus = openKafkaBus({ connection, log });
  const system: System = {
    ...{ folder, kafka, brokers: watchBrokers(), engine, slack, bus, crews, apis, newCopy, censusFolder: bpffs.folder },
    call: (method, path, body, api = apis[0]) => {
      const token = readFileSync(join(folder, 'home', 'token'), 'utf8').trim();
      return request(`${api}${path}`, method, token, body);
    },
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

/** Two copies of ingest and notify, which share partitions with whoever joins, and an api that only reads. */
async function hire(
  newCopy: (name: ServiceName, env?: NodeJS.ProcessEnv) => Promise<Copy>,
  [writer, reader]: readonly string[],
): Promise<Map<ServiceName, Copy[]>> {
  const portOf = (url: string | undefined): string => new URL(url!).port;
  return new Map<ServiceName, Copy[]>([
    ['probe', [await newCopy('probe')]],
    ['ingest', [await newCopy('ingest'), await newCopy('ingest')]],
    ['detect', [await newCopy('detect')]],
    ['notify', [await newCopy('notify'), await newCopy('notify')]],
    [
      'api',
      [
        await newCopy('api', { BINTRAIL_PORT: portOf(writer) }),
        await newCopy('api', { BINTRAIL_PORT: portOf(reader), BINTRAIL_API_WRITER: writer }),
      ],
    ],
  ]);
}

function settingsOf(
  folder: string,
  kafka: KafkaCluster,
  engine: Engine,
  slack: SlackReceiver,
  bpffs: Bpffs,
): NodeJS.ProcessEnv {
  return {
    KAFKA_BROKERS: kafka.brokers,
    KAFKA_PREFIX: '',
    KAFKA_SESSION_TIMEOUT: SESSION_TIMEOUT,
    CLICKHOUSE_URL: engine.url,
    SLACK_WEBHOOK_URL: slack.url,
    BINTRAIL_HOME: join(folder, 'home'),
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

/** Resolves when every copy of a stage says that it is up; rejects at once when one has ended by itself. */
export async function up(system: System, name: ServiceName): Promise<void> {
  await eventually(`${name} is up`, UP_MS, async () => {
    const complaints = system.complaints();
    if (complaints.length > 0) throw new Error(complaints.join('\n'));
    const said = await Promise.all(system.crews.get(name)!.map((copy) => copy.health().catch(() => undefined)));
    return said.every((health) => health?.state === 'up' || health?.state === 'degraded') ? true : undefined;
  });
}
