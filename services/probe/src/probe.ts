/** The probe: wakes up when the kernel has something, reads ring and descriptors, and passes on what became of them. */
import type { Message } from '@bintrail/runtime/bus.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import { sendAlive } from './alive.ts';
import type { Redact } from './argv-redactor.ts';
import { loadBpfObject } from './bpf-object.ts';
import { type Census, isCounting, openCensus } from './census.ts';
import type { ChangeWay } from './change-hooks.ts';
import { openClock } from './clock.ts';
import type { ContainerSource } from './containers/facts.ts';
import { createContainerNames, type SourceStatus } from './containers/names.ts';
import { containerRow } from './containers/rows.ts';
import { createDigestPipeline } from './digest-pipeline.ts';
import { createEventsOut } from './events-out.ts';
import { openFanotify } from './fanotify.ts';
import { loadLibbpf, loadLibc } from './ffi.ts';
import { chooseHooks, type HookSetting, type Hooks } from './hooks.ts';
import { hostMountNamespace } from './host.ts';
import { seedInterpreters } from './interpreter-seeds.ts';
import type { Pods, PodsStatus } from './kubernetes/pods.ts';
import { createMarks, type Marks } from './marks.ts';
import { createNamesFile, openNamed } from './named-file.ts';
import type { Observer, ObserverOptions } from './observer.ts';
import { openPackages } from './open-packages.ts';
import { createLook, openBelow } from './operands.ts';
import { packageColumns } from './packages.ts';
import { stepBack } from './precedence.ts';
import { runLoop, takeSnapshot, type World } from './probe-loop.ts';
import { type Reader, startReader } from './reader.ts';
import { openRecordBuffer } from './record-buffer.ts';
import { createRecordPath } from './record-path.ts';
import { stillRuns } from './records.ts';
import type { RepeatFilter } from './repeat-filter.ts';
import { createReporter, newTally, type Report } from './report.ts';
import { createRuntimeSetup } from './runtime-setup.ts';
import { createOpenedByPid } from './scripts.ts';
import { giveBackMemory, mapLargeBlocks } from './spare-memory.ts';
import { createStreams, STREAM } from './streams.ts';
import { type UserNames, workloadOf } from './workload.ts';

export type ProbeOptions = {
  readonly bpfObjectPath: string;
  /** Of the lsm family, and which family to use. */
  readonly lsmObjectPath: string;
  readonly hooks: HookSetting;
  readonly censusObjectPath: string;
  /** Where the census is pinned: a folder in a bpffs, or one that can be made there. */
  readonly censusFolder: string;
  readonly node: string;
  readonly boot: string;
  readonly publish: (messages: readonly Message[]) => Promise<void>;
  /** What may wait in memory for `publish`; 64 MiB by default. */
  readonly maxWaitingBytes?: number;
  /** Messages that `publish` took and the bus has not; none by default. */
  readonly outboxDepth?: () => number;
  readonly userName: UserNames;
  /** Takes secrets out of arguments before anything leaves this process. Words are latin1. */
  readonly redact: Redact;
  readonly log: Log;
  readonly maxFileBytes: number;
  /** Bytes that may be read for digests in a second; by default as many as can. */
  readonly maxHashBytesPerS?: number | undefined;
  /** What the kernel side leaves out as told before; by default as the object has it. */
  readonly repeatFilter?: RepeatFilter;
  /** Who is asked for the names of containers; nobody by default. They are closed with the probe. */
  readonly containerSources?: readonly ContainerSource[];
  /** The API server, where there is one to ask: it is what those sources were given, and is closed with the probe. */
  readonly pods?: Pods | undefined;
};

export type Probe = {
  readonly hooks: Hooks['family'];
  /** Why the lsm family is not used, in words; undefined when it is, or was not asked for. */
  readonly lsmRefusal: string | undefined;
  /** What tells of changes to files. */
  readonly changes: ChangeWay;
  /** Filesystems that are marked, those that only containers have, and how overlays are seen. */
  readonly marks: Marks['status'];
  readonly census: Census;
  /** Messages in memory that neither bus nor outbox has taken yet. */
  readonly waitingMessages: () => number;
  /** Rows dropped so far because neither bus nor outbox took them. */
  readonly droppedRows: () => number;
  /** How the runtimes answer that are asked for the names of containers. */
  readonly containers: () => SourceStatus[];
  /** How the API server answers; null where none is asked. */
  readonly kubernetes: () => PodsStatus | null;
  /** Resolves after `close`; rejects on a bug. */
  readonly done: Promise<void>;
  readonly close: () => Promise<void>;
};

/** Records of the ring that may wait in memory for their descriptors; the rest waits in the ring. */
const RING_BATCH = 8_192;
const RING_BATCH_BYTES = 4 * 1024 * 1024;
/** How long after a full queue a missing descriptor is put down to it. */
const OVERLOAD_NS = 10_000_000_000n;

/** Loads, attaches and runs. Throws SetupError naming what is missing. */
export async function startProbe(options: ProbeOptions): Promise<Probe> {
  const libc = loadLibc();
  mapLargeBlocks(libc);
  const libbpf = loadLibbpf();
  // Before our own hooks are attached: the kernel calls them in that order.
  const census = openCensus(libbpf, libc, options.censusObjectPath, options.censusFolder);
  if (!isCounting(census)) options.log.warn({ reason: census.reason }, census.words);
  const bpf = loadBpfObject(libbpf, libc, options.bpfObjectPath, {
    censusFd: isCounting(census) ? census.countsFd : undefined,
    trampolines: options.hooks !== 'tracepoint',
    filter: options.repeatFilter,
  });
  const hooks = chooseHooks(options.hooks, libbpf, libc, options.lsmObjectPath);
  const fanotify = openFanotify(libc);
  const marks = createMarks({ libc, fanotify, describe: bpf.describe, log: options.log });
  marks.markMounts();
  const clock = openClock(libc);
  const failure = Promise.withResolvers<never>();
  const tally = newTally();
  const hostMounts = hostMountNamespace();
  const packages = await openPackages({
    ...{ describeProgramFd: bpf.describeProgramFd, namesFile: createNamesFile(libc, bpf.describe) },
    ...{ hostMounts, log: options.log },
  });
  const out = createEventsOut({
    ...{ node: options.node, boot: options.boot, probeEpoch: clock.nowNs() / 1_000_000n, publish: options.publish },
    maxWaitingBytes: options.maxWaitingBytes,
    onFatal: failure.reject,
    onRetry: (error) => options.log.warn({ err: error }, 'the bus did not take a message; it is kept and tried again'),
  });
  const nextSeq = createStreams();
  const opened = createOpenedByPid();
  const reader: Reader = startReader({
    ...{ libc, bpf, fanotifyFd: fanotify.fd, tickNs: clock.tickNs },
    ...{ maxFileBytes: options.maxFileBytes, maxBytesPerS: options.maxHashBytesPerS },
    onTold: (told) => {
      if (told.kind === 'script') return opened.remember(told.sighted);
      // Before the reading is used: whoever asks what the program is finds it.
      if (told.kind === 'read' && told.interpreter) interpreters.recognise(told.reading.sha256, told.interpreter);
      pipeline.tell(told);
    },
    onFatal: failure.reject,
  });
  const pipeline = createDigestPipeline({
    ...{ describe: bpf.describe, nowNs: clock.nowNs, tickNs: clock.tickNs },
    read: reader.read,
    openNamed: (path, pid) => (pid === undefined ? openNamed(libc, path) : openBelow(libc, path, pid)),
  });
  const containerNames = createContainerNames({
    ...{ sources: options.containerSources ?? [], nowNs: clock.nowNs },
    tell: (told) => {
      const identity = { ts: clock.nowNs(), stream: STREAM.container, seq: nextSeq(STREAM.container) };
      out.add('container', containerRow(told, identity));
    },
  });
  options.pods?.onChange(containerNames.onPod);
  const packagesOf: ObserverOptions['packagesOf'] = (asked, evidence, reading) =>
    packageColumns(packages.ownersOf, asked, evidence, reading);
  const { observer, intake, takeCode, changes, interpreters, interpreted, origins, containerOf } = createRecordPath({
    containerNames,
    scripts: {
      name: bpf.nameInterpreter,
      look: createLook({ libc, describe: bpf.describe, hostMounts }),
    },
    setup: createRuntimeSetup({
      ...{ hostMounts, describe: bpf.describe, known: pipeline.known },
      openNamed: (path) => openNamed(libc, path),
    }),
    ...{
      pipeline,
      out,
      opened,
      steps: hooks.steps,
      tickNs: clock.tickNs,
      nowNs: clock.nowNs,
      nextSeq,
      redact: options.redact,
    },
    workloadOf: (cgroupPath) => workloadOf(cgroupPath, options.userName),
    packagesOf,
    markUnseen: marks.markUnseen,
    stillRuns: (row) => stillRuns(bpf, row),
    ...{ writerOf: bpf.writerOf, noteKnown: bpf.bell.noteKnown },
    overloaded: () => clock.nowNs() - reader.figure('overflowedAtNs') < OVERLOAD_NS,
    onFatal: failure.reject,
    onUndecodable: (ring) => {
      tally.undecodable[ring] += 1n;
    },
  });
  const reportAt = createReporter({
    ...{ bpf, hooks, census, out, tally, nextSeq, reader },
    outboxDepth: () => out.depth() + (options.outboxDepth?.() ?? 0),
    waitingDigests: observer.waiting,
    fanotifyBacklogBytes: fanotify.backlogBytes,
  });

  const arrived = openRecordBuffer(RING_BATCH, RING_BATCH_BYTES);
  let detachedAtNs: bigint | undefined;
  // What a run says of itself lies between its first hook and its last: two overlap only if both were watching.
  const report: Report = (mode) => reportAt(detachedAtNs ?? clock.nowNs(), mode);
  const world: World = {
    ...{ bpf, steps: hooks.steps, marks, clock, packages, observer, intake, takeCode, reader, arrived, out, report },
    ...{ log: options.log, origins, nextSeq, containerOf, containerNames },
  };
  await untilReading(reader);
  // The reader stays first: what waits in the rings waits longer than an open file may.
  stepBack();
  // While nothing is watched yet, and nothing waits.
  giveBackMemory(libc);
  seedInterpreters({
    ...{ pipeline, describe: bpf.describe, interpreters, hostMounts, packagesOf },
    ...{ tickNs: clock.tickNs, nowNs: clock.nowNs, onFatal: failure.reject },
  });
  const attachedAtNs = clock.nowNs();
  // Before the hook that announces the exec: each one announced has its steps.
  hooks.steps?.attach();
  bpf.attach();
  takeSnapshot(world);
  sendAlive(world);
  reportAt(attachedAtNs);
  const loop = runLoop(libc, world);
  const stop = async () => {
    // First, so that everything counted as sent is read by the last round.
    bpf.detach();
    hooks.steps?.detach();
    detachedAtNs = clock.nowNs();
    bpf.tellRepeats(false);
    await loop.stop();
    interpreted.finish();
    await drainWaiting(observer);
    containerNames.close();
    options.pods?.close();
    observer.finish();
    changes.finish();
    report('stopping');
    await out.close();
    await reader.close();
    await packages.close();
    fanotify.close();
    bpf.close();
    hooks.steps?.close();
    if (isCounting(census)) census.close();
  };
  let stopping: Promise<void> | undefined;
  const close = () => {
    stopping ??= stop();
    return stopping;
  };
  const lsmRefusal = hooks.family === 'tracepoint' ? hooks.refusal : undefined;
  const droppedRows = () => Number([...out.dropped().values()].reduce((sum, rows) => sum + rows, 0n));
  const done = Promise.race([loop.done, failure.promise]);
  return {
    ...{ hooks: hooks.family, lsmRefusal, changes: bpf.changes },
    ...{ marks: marks.status, census, containers: containerNames.status },
    kubernetes: () => options.pods?.status() ?? null,
    ...{ waitingMessages: out.depth, droppedRows, done, close },
  };
}

/** What is executed before the reader's thread runs would be opened again by its path, if it is still there. */
async function untilReading(reader: Reader): Promise<void> {
  for (let triesLeft = 10; triesLeft > 0; triesLeft--) {
    if (await reader.caughtUp()) return;
  }
}

/** Files being hashed when the probe is asked to end are waited for, but not for long. */
async function drainWaiting(observer: Observer): Promise<void> {
  for (let triesLeft = 100; triesLeft > 0 && observer.waiting() > 0; triesLeft--) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
