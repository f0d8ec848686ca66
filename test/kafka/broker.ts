import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { kafkaFolder } from '../../infra/setup/kafka.mjs';
import { answers } from './ready.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export type KafkaOptions = {
  /** Brokers on this machine, each of which is a controller too: 1, or 3 to survive the loss of one. */
  readonly brokers: 1 | 3;
  /** Where logs and data go; made where it does not exist. A cluster started on its data again goes on with it. */
  readonly folder: string;
  /** The port of each broker; free ones by default. */
  readonly ports?: readonly number[];
  /** Further lines for server.properties. */
  readonly properties?: Readonly<Record<string, string | number>>;
};

export type KafkaNode = {
  readonly id: number;
  readonly address: string;
  /** Of the running broker. */
  pid(): number | undefined;
  /** SIGKILL, SIGSTOP, SIGCONT: what happens to brokers. Resolves when it has ended, where the signal ends it. */
  signal(name: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** Starts it again after its end, with the same data and port. */
  start(): Promise<void>;
};

export type KafkaCluster = {
  /** As `KAFKA_BROKERS` wants it. */
  readonly brokers: string;
  readonly nodes: readonly KafkaNode[];
  stop(): Promise<void>;
};

/** A broker of the tests holds megabytes; three must fit on a small machine beside everything else (measured: 400 MB RSS). */
const JVM = ['-Xms64m', '-Xmx320m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto'];

/**
 * Starts Apache Kafka (KRaft) on 127.0.0.1. Its processes end with this one, however it ends.
 * @throws SetupError when Java or Kafka's jars are missing, or a broker refuses to start, with its own words.
 */
export async function startKafka({ brokers, folder, ports, properties = {} }: KafkaOptions): Promise<KafkaCluster> {
  requireParts();
  mkdirSync(folder, { recursive: true });
  const ids = Array.from({ length: brokers }, (_, index) => index + 1);
  const free = await freePorts(2 * brokers);
  const places = ids.map((id, index) => ({
    id,
    port: ports?.[index] ?? free[index]!,
    controllerPort: free[brokers + index]!,
    folder: join(folder, `node-${id}`),
  }));
  const voters = places.map(({ id, controllerPort }) => `${id}@127.0.0.1:${controllerPort}`).join(',');
  const clusterId = readClusterId(folder);
  await Promise.all(places.map((place) => format(place, clusterId, { ...common(brokers, voters), ...properties })));
  const nodes = places.map(createNode);
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.end()));
  };
  try {
    await Promise.all(nodes.map((node) => node.start()));
  } catch (error) {
    await stop();
    throw error;
  }
  return { brokers: nodes.map((node) => node.address).join(','), nodes, stop };
}

/** Why `startKafka` cannot work here, or undefined when it can. */
export function whyNoKafka(): string | undefined {
  if (!existsSync(kafkaFolder(ROOT))) return 'Apache Kafka is not fetched (npm run kafka fetches it)';
  if (spawnSync('java', ['-version']).status !== 0) return 'there is no java';
  return undefined;
}

function requireParts(): void {
  const why = whyNoKafka();
  if (why !== undefined)
    throw new SetupError(why, 'npm test installs what is missing; or set KAFKA_BROKERS to a broker');
}

type Place = { id: number; port: number; controllerPort: number; folder: string };
type Properties = Readonly<Record<string, string | number>>;

/** Small and quick to notice failures: Kafka's defaults are meant for machines that do nothing else. */
function common(brokers: number, voters: string): Properties {
  const copies = Math.min(3, brokers);
  return {
    'process.roles': 'broker,controller',
    'controller.quorum.voters': voters,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    'auto.create.topics.enable': 'false',
    'default.replication.factor': copies,
    'min.insync.replicas': brokers === 1 ? 1 : 2,
    'offsets.topic.num.partitions': 4,
    'offsets.topic.replication.factor': copies,
    'transaction.state.log.num.partitions': 4,
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': brokers === 1 ? 1 : 2,
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 1000,
    'broker.heartbeat.interval.ms': 500,
    'broker.session.timeout.ms': 3000,
    'controlled.shutdown.enable': 'true',
    // Kafka's defaults reserve 128 MB for the cleaner and 10 MB for each index.
    'log.cleaner.dedupe.buffer.size': 8 * 1024 * 1024,
    'log.index.size.max.bytes': 256 * 1024,
    'num.network.threads': 2,
    'num.io.threads': 4,
  };
}

function readClusterId(folder: string): string {
  const file = join(folder, 'cluster-id');
  if (!existsSync(file)) writeFileSync(file, randomBytes(16).toString('base64url'));
  return readFileSync(file, 'utf8');
}

async function format(place: Place, clusterId: string, properties: Properties): Promise<void> {
  mkdirSync(place.folder, { recursive: true });
  const file = join(place.folder, 'server.properties');
  const own = {
    'node.id': place.id,
    listeners: `PLAINTEXT://127.0.0.1:${place.port},CONTROLLER://127.0.0.1:${place.controllerPort}`,
    'log.dirs': join(place.folder, 'data'),
  };
  const lines = Object.entries({ ...properties, ...own }).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(file, lines.join(''));
  // In one argument with its name: one id of 64 begins with a dash.
  const args = ['format', '--ignore-formatted', `--cluster-id=${clusterId}`, '--config', file];
  const child = java(place, 'kafka.tools.StorageTool', args);
  const [code] = await once(child, 'exit');
  if (code !== 0) throw refused(place);
}

function java({ folder }: Place, main: string, args: readonly string[]): ChildProcess {
  const log = openSync(join(folder, 'server.log'), 'a');
  const command = [
    'java',
    ...JVM,
    '-Dorg.apache.logging.log4j.level=WARN',
    '-cp',
    `${kafkaFolder(ROOT)}/*`,
    main,
    ...args,
  ];
  // setpriv: the kernel ends the broker when this process ends, also by kill -9. Such is Linux, where all rings run.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], { stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  return child;
}

function refused({ id, folder }: Place): SetupError {
  const file = join(folder, 'server.log');
  const words = readFileSync(file, 'utf8').slice(-2000);
  return new SetupError(`broker ${id} ended:\n${words}`, `see ${file}`);
}

function createNode(place: Place): KafkaNode & { end(): Promise<void> } {
  let child: ChildProcess | undefined;
  let ended: Promise<unknown> = Promise.resolve();
  const running = () => child !== undefined && child.exitCode === null && child.signalCode === null;
  const signal: KafkaNode['signal'] = async (name) => {
    if (!running()) return;
    child!.ref();
    child!.kill(name);
    if (name === 'SIGKILL' || name === 'SIGTERM') await ended;
  };
  return {
    id: place.id,
    address: `127.0.0.1:${place.port}`,
    pid: () => (running() ? child!.pid : undefined),
    signal,
    async start() {
      child = java(place, 'kafka.Kafka', [join(place.folder, 'server.properties')]);
      ended = once(child, 'exit');
      // A test that forgets to stop it must still be able to end.
      child.unref();
      if (!(await answers(place.port, running))) throw refused(place);
    },
    // Killed, not asked: a graceful end takes seconds, and what is on disk is as good.
    end: () => signal('SIGKILL'),
  };
}

/** Ports of 127.0.0.1 that nobody listens on at this moment. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
