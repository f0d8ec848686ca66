/**
 * The probe's process: the only one that keeps privileges. Started by the standalone supervisor, which it tells over
 * IPC when it is ready; it ends when that connection does.
 */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readConfig, required, setting, sizeBytes, text } from '@bintrail/runtime/config.ts';
import { SetupError } from '@bintrail/runtime/errors.ts';
import { createLog } from '@bintrail/runtime/log.ts';
import { createShutdown } from '@bintrail/runtime/shutdown.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { COMPACTED_TOPICS, TOPICS } from '@bintrail/schemas/topics.ts';
import { CENSUS_FOLDER, isCounting } from './census.ts';
import { checkHost, localUserNames, readBootId } from './host.ts';
import { startProbe } from './probe.ts';
import { redactArguments } from './redact.ts';

// libuv reads this at its first use: two threads wait in epoll_wait for good, and four may hang on a disk.
process.env.UV_THREADPOOL_SIZE ??= '8';

const BPF_OBJECT = fileURLToPath(new URL('../../../bpf/build/bintrail.bpf.o', import.meta.url));
const CENSUS_OBJECT = fileURLToPath(new URL('../../../bpf/build/census.bpf.o', import.meta.url));

/** The backend takes three of them missing for a probe that hangs. */
const ALIVE_EVERY_MS = 5_000;

const log = createLog({ level: 'info', name: 'probe', human: process.stderr.isTTY === true });
const shutdown = createShutdown({ log, boundMs: 10_000 });

// Before anything else is waited for: a supervisor that dies while the probe starts must not leave it behind.
process.on('disconnect', () => shutdown.close());
if (process.connected === false) shutdown.close();

try {
  const config = readConfig(process.env, {
    homeDir: required('BINTRAIL_HOME', text),
    node: setting('BINTRAIL_NODE', text, hostname()),
    maxFileBytes: setting('BINTRAIL_MAX_FILE_SIZE', sizeBytes, 1024 ** 3),
    censusFolder: setting('BINTRAIL_CENSUS', text, CENSUS_FOLDER),
  });
  checkHost(BPF_OBJECT);
  const bus = openSqliteBus({ path: join(config.homeDir, 'bus.db'), compactedTopics: COMPACTED_TOPICS });
  shutdown.onClose('bus', bus.close);
  const probe = await startProbe({
    ...{ censusObjectPath: CENSUS_OBJECT, censusFolder: config.censusFolder },
    ...{ bpfObjectPath: BPF_OBJECT, node: config.node, boot: readBootId() },
    ...{ maxFileBytes: config.maxFileBytes },
    ...{ userName: localUserNames(), redact: redactArguments, log },
    publish: (message) => bus.publish(TOPICS.events, [message]),
  });
  shutdown.onClose('probe', probe.close);
  probe.done.catch(shutdown.fail);
  const uncounted = isCounting(probe.census) ? null : probe.census.words;
  tell({ kind: 'ready', hooks: probe.hooks, marks: probe.marks, uncounted });
  // From the loop that reads the ring: one that hangs says nothing.
  const alive = setInterval(() => tell({ kind: 'alive' }), ALIVE_EVERY_MS);
  shutdown.onClose('alive', () => clearInterval(alive));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`\n${error.message}\n\nWhat to do: ${error.remedy}\n`);
  process.exit(78);
}

function tell(message: object): void {
  if (process.connected) process.send?.(message);
}
