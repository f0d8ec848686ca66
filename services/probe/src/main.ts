/**
 * The probe's process: the only one that keeps privileges. Under the standalone supervisor it tells over IPC when it is
 * ready, and ends when that connection does. With KAFKA_BROKERS it publishes there, by way of a file while Kafka is
 * away, and serves /healthz, /readyz and /metrics; otherwise to the embedded bus in BINTRAIL_HOME.
 */
import { mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Message } from '@bintrail/runtime/bus.ts';
import { oneOf, optional, readConfig, required, setting, sizeBytes, text } from '@bintrail/runtime/config.ts';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { createLog, type Log } from '@bintrail/runtime/log.ts';
import type { Host, Part } from '@bintrail/runtime/service.ts';
import { createShutdown, type Shutdown } from '@bintrail/runtime/shutdown.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { COMPACTED_TOPICS, TOPICS } from '@bintrail/schemas/topics.ts';
import { CENSUS_FOLDER, isCounting } from './census.ts';
import { containerSockets, DEFAULT_SOCKETS } from './containers/sockets.ts';
import { openSources } from './containers/sources.ts';
import { MAX_WAITING_BYTES } from './events-out.ts';
import { HOOK_SETTINGS } from './hooks.ts';
import { checkHost, localUserNames, readBootId } from './host.ts';
import { IN_CLUSTER_ACCOUNT, kubernetesAccess, kubernetesServer } from './kubernetes/access.ts';
import type { WatchState } from './kubernetes/watch-list.ts';
import type { Outbox } from './outbox.ts';
import { startProbe } from './probe.ts';
import { redactArguments } from './redact.ts';

// libuv reads this at its first use: two threads wait in epoll_wait for good, and four may hang on a disk.
process.env.UV_THREADPOOL_SIZE ??= '8';

const BPF_OBJECT = fileURLToPath(new URL('../../../bpf/build/bintrail.bpf.o', import.meta.url));
const LSM_OBJECT = fileURLToPath(new URL('../../../bpf/build/lsm.bpf.o', import.meta.url));
const CENSUS_OBJECT = fileURLToPath(new URL('../../../bpf/build/census.bpf.o', import.meta.url));

/** The backend takes three of them missing for a probe that hangs. */
const ALIVE_EVERY_MS = 5_000;

if (process.env.KAFKA_BROKERS) {
  // Kafka's client and the metrics are 12 MB that a probe on one machine need not have.
  const { runService } = await import('@bintrail/runtime/service.ts');
  await runService({ name: 'probe', opsPort: 7075, topic: TOPICS.events }, async (host) => {
    endWithSupervisor(host.shutdown);
    const outbox = await openFile(host);
    return start(host.log, outbox, outbox.maxBytes);
  });
} else {
  const log = createLog({ level: 'info', name: 'probe', human: process.stderr.isTTY === true });
  const shutdown = createShutdown({ log, boundMs: 10_000 });
  endWithSupervisor(shutdown);
  try {
    const { homeDir } = readConfig(process.env, { homeDir: required('BINTRAIL_HOME', text) });
    const bus = openSqliteBus({ path: join(homeDir, 'bus.db'), compactedTopics: COMPACTED_TOPICS });
    shutdown.onClose('bus', bus.close);
    const publish = (messages: readonly Message[]) => bus.publish(TOPICS.events, messages);
    const probe = await start(log, { publish, depth: () => 0 });
    shutdown.onClose('probe', probe.close);
    probe.done.catch(shutdown.fail);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    process.stderr.write(`\n${error.message}\n\nWhat to do: ${error.remedy}\n`);
    process.exit(78);
  }
}

/** Before anything else is waited for: a supervisor that dies while the probe starts must not leave it behind. */
function endWithSupervisor(shutdown: Shutdown): void {
  process.on('disconnect', () => shutdown.close());
  if (process.connected === false) shutdown.close();
}

/** What Kafka does not take waits in a file: the embedded bus is one itself. */
async function openFile({ bus, log, metrics, shutdown }: Host): Promise<Outbox & { readonly maxBytes: number }> {
  const { openOutbox } = await import('./outbox.ts');
  const config = readConfig(process.env, {
    homeDir: setting('BINTRAIL_HOME', text, '/var/lib/bintrail'),
    maxBytes: setting('BINTRAIL_OUTBOX_SIZE', sizeBytes, 1024 ** 3),
  });
  try {
    mkdirSync(config.homeDir, { recursive: true, mode: 0o700 });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SetupError(`the outbox has no folder: ${reason}`, 'set BINTRAIL_HOME to a folder that can be made');
  }
  const file = openSqliteBus({
    path: join(config.homeDir, 'outbox.db'),
    compactedTopics: [],
    maxBytes: config.maxBytes,
  });
  shutdown.onClose('outbox file', file.close);
  const upstream = (messages: readonly Message[]) => bus.publish(TOPICS.events, messages);
  const outbox = await openOutbox({ file, upstream, log, metrics });
  shutdown.onClose('outbox', outbox.close);
  outbox.done.catch(shutdown.fail);
  return { ...outbox, maxBytes: config.maxBytes };
}

/** What waits in memory is no more than what may wait in the file. */
async function start(log: Log, outbox: Pick<Outbox, 'publish' | 'depth'>, outboxBytes = Infinity): Promise<Part> {
  const config = readConfig(process.env, {
    node: setting('BINTRAIL_NODE', text, hostname()),
    maxFileBytes: setting('BINTRAIL_MAX_FILE_SIZE', sizeBytes, 1024 ** 3),
    hashRate: setting('BINTRAIL_HASH_RATE', sizeBytes, 0),
    censusFolder: setting('BINTRAIL_CENSUS', text, CENSUS_FOLDER),
    hooks: setting('BINTRAIL_HOOKS', oneOf(...HOOK_SETTINGS), 'auto'),
    sockets: setting('BINTRAIL_CONTAINER_SOCKETS', containerSockets, DEFAULT_SOCKETS),
    server: setting('BINTRAIL_KUBERNETES', kubernetesServer, 'auto'),
    account: setting('BINTRAIL_KUBERNETES_ACCOUNT', text, IN_CLUSTER_ACCOUNT),
    kubernetesNode: setting('BINTRAIL_KUBERNETES_NODE', text, hostname().toLowerCase()),
    host: optional('KUBERNETES_SERVICE_HOST', text),
    port: setting('KUBERNETES_SERVICE_PORT', text, '443'),
  });
  checkHost(BPF_OBJECT);
  const access = kubernetesAccess({ ...config, node: config.kubernetesNode });
  const onState = ({ state, reason }: WatchState) => {
    if (state === 'fails') log.warn({ reason }, 'the Kubernetes API server does not answer; pods go by their labels');
    else log.info({}, 'the Kubernetes API server answers');
  };
  const pods = access && (await import('./kubernetes/pods.ts')).openPods(access, { onState });
  const probe = await startProbe({
    ...{ censusObjectPath: CENSUS_OBJECT, censusFolder: config.censusFolder },
    ...{ lsmObjectPath: LSM_OBJECT, hooks: config.hooks },
    ...{ bpfObjectPath: BPF_OBJECT, node: config.node, boot: readBootId() },
    ...{ maxFileBytes: config.maxFileBytes, maxHashBytesPerS: config.hashRate || undefined },
    ...{ containerSources: openSources(config.sockets, config.kubernetesNode, pods), pods },
    ...{ userName: localUserNames(), redact: redactArguments, log },
    ...{ publish: outbox.publish, outboxDepth: outbox.depth },
    maxWaitingBytes: Math.min(MAX_WAITING_BYTES, outboxBytes),
  });
  const uncounted = isCounting(probe.census) ? null : probe.census.words;
  tell({ kind: 'ready', hooks: probe.hooks, marks: probe.marks().marks, uncounted });
  // From the loop that reads the ring: one that hangs says nothing.
  const alive = setInterval(() => tell({ kind: 'alive' }), ALIVE_EVERY_MS);
  const close = (): Promise<void> => {
    clearInterval(alive);
    return probe.close();
  };
  return {
    done: probe.done,
    close,
    status: () => ({
      node: config.node,
      hooks: probe.hooks,
      lsmRefusal: probe.lsmRefusal,
      changes: probe.changes,
      uncounted,
      outbox: outbox.depth(),
      waiting: probe.waitingMessages(),
      dropped: probe.droppedRows(),
      marks: probe.marks(),
      containers: probe.containers(),
      kubernetes: probe.kubernetes(),
    }),
  };
}

function tell(message: object): void {
  if (process.connected) process.send?.(message);
}
