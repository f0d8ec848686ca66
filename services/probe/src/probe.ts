/** The probe: wakes up when the kernel has something, reads ring and descriptors, and passes on what became of them. */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import type { Message } from '@bintrail/runtime/bus.ts';
import type { Log } from '@bintrail/runtime/log.ts';
import { sendAlive } from './alive.ts';
import type { Redact } from './argv-redactor.ts';
import { type BpfObject, loadBpfObject } from './bpf-object.ts';
import { type Census, isCounting, openCensus } from './census.ts';
import { type Clock, openClock } from './clock.ts';
import type { CodeIntake } from './code-intake.ts';
import { createDigestPipeline } from './digest-pipeline.ts';
import { createEventsOut, type EventsOut, type Row } from './events-out.ts';
import type { ExecSteps } from './exec-steps.ts';
import { type Fanotify, openFanotify } from './fanotify.ts';
import { loadLibbpf, loadLibc } from './ffi.ts';
import { chooseHooks, type HookSetting, type Hooks } from './hooks.ts';
import { mountsToMark, parseMountInfo } from './mounts.ts';
import { openNamed } from './named-file.ts';
import type { Observer } from './observer.ts';
import { openPackages, type Packages } from './open-packages.ts';
import { packageColumns } from './packages.ts';
import { type Reader, startReader } from './reader.ts';
import { openRecordBuffer, type RecordBuffer, recordView } from './record-buffer.ts';
import type { Intake } from './record-intake.ts';
import { createRecordPath } from './record-path.ts';
import { decodeExecRecord, snapshotRows, stillRuns } from './records.ts';
import { createReporter, newTally, type Report } from './report.ts';
import { createOpenedByPid } from './scripts.ts';
import { EPOLLIN, EPOLLPRI, openWakeup } from './wakeup.ts';
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
  readonly publish: (message: Message) => Promise<void>;
  /** What may wait in memory for `publish`; 64 MiB by default. */
  readonly maxWaitingBytes?: number;
  /** Messages that `publish` took and the bus has not; none by default. */
  readonly outboxDepth?: () => number;
  readonly userName: UserNames;
  /** Takes secrets out of arguments before anything leaves this process. Words are latin1. */
  readonly redact: Redact;
  readonly log: Log;
  readonly maxFileBytes: number;
};

export type Probe = {
  readonly hooks: Hooks['family'];
  /** Why the lsm family is not used, in words; undefined when it is, or was not asked for. */
  readonly lsmRefusal: string | undefined;
  readonly marks: number;
  readonly census: Census;
  /** Rows dropped so far because neither bus nor outbox took them. */
  readonly droppedRows: () => number;
  /** Resolves after `close`; rejects on a bug. */
  readonly done: Promise<void>;
  readonly close: () => Promise<void>;
};

/** Records of the ring that may wait in memory for their descriptors; the rest waits in the ring. */
const RING_BATCH = 8_192;
const RING_BATCH_BYTES = 4 * 1024 * 1024;
/** How long after a full queue a missing descriptor is put down to it. */
const OVERLOAD_NS = 10_000_000_000n;
const SWEEP_MS = 100;
/** After a round that found something: each wake-up costs more than what one exec brings. */
const GATHER_MS = 2;
const REPORT_MS = 5_000;
const ALIVE_MS = 60_000;
/** No program of the kernel runs for so long: what is closed by then is not counted on. */
const FORGET_AFTER_MS = 100;
/** Longest sleep; every wait also ends when the kernel has something. */
const IDLE_WAIT_MS = 1_000;

/** Loads, attaches and runs. Throws SetupError naming what is missing. */
export async function startProbe(options: ProbeOptions): Promise<Probe> {
  const libc = loadLibc();
  const libbpf = loadLibbpf();
  // Before our own hooks are attached: the kernel calls them in that order.
  const census = openCensus(libbpf, libc, options.censusObjectPath, options.censusFolder);
  if (!isCounting(census)) options.log.warn({ reason: census.reason }, census.words);
  const bpf = loadBpfObject(libbpf, libc, options.bpfObjectPath, isCounting(census) ? census.countsFd : undefined);
  const hooks = chooseHooks(options.hooks, libbpf, libc, options.lsmObjectPath);
  const fanotify = openFanotify(libc);
  const marks = markMounts(fanotify, options.log);
  const clock = openClock(libc);
  const failure = Promise.withResolvers<never>();
  const tally = newTally();
  const packages = await openPackages(bpf.describeProgramFd, options.log);
  const out = createEventsOut({
    ...{ node: options.node, boot: options.boot, probeEpoch: clock.nowNs() / 1_000_000n, publish: options.publish },
    maxWaitingBytes: options.maxWaitingBytes,
    onFatal: failure.reject,
    onRetry: (error) => options.log.warn({ err: error }, 'the bus did not take a message; it is kept and tried again'),
  });
  const nextSeq = createStreams();
  const opened = createOpenedByPid();
  const reader: Reader = startReader({
    ...{ libc, bpf, fanotifyFd: fanotify.fd, tickNs: clock.tickNs, maxFileBytes: options.maxFileBytes },
    onTold: (told) => (told.kind === 'script' ? opened.remember(told.sighted) : pipeline.tell(told)),
    onFatal: failure.reject,
  });
  const pipeline = createDigestPipeline({
    ...{ describe: bpf.describe, nowNs: clock.nowNs, tickNs: clock.tickNs },
    ...{ read: reader.read, openNamed: (path) => openNamed(libc, path) },
  });
  const { observer, intake, takeCode, changes } = createRecordPath({
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
    packagesOf: (asked, evidence, reading) => packageColumns(packages.ownersOf, asked, evidence, reading),
    stillRuns: (row) => stillRuns(bpf, row),
    writerOf: bpf.writerOf,
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
    ...{
      bpf,
      steps: hooks.steps,
      fanotify,
      clock,
      packages,
      observer,
      intake,
      takeCode,
      reader,
      arrived,
      out,
      report,
      log: options.log,
    },
  };
  await untilReading(reader);
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
    await drainWaiting(observer);
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
  return { hooks: hooks.family, lsmRefusal, marks, census, droppedRows, done, close };
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

type World = {
  readonly bpf: BpfObject;
  readonly steps: ExecSteps | undefined;
  readonly fanotify: Fanotify;
  readonly packages: Packages;
  readonly clock: Clock;
  readonly observer: Observer;
  readonly reader: Reader;
  readonly intake: Intake;
  readonly takeCode: CodeIntake;
  readonly arrived: RecordBuffer;
  readonly out: EventsOut;
  readonly report: Report;
  readonly log: Log;
};

function runLoop(libc: ReturnType<typeof loadLibc>, world: World): { done: Promise<void>; stop: () => Promise<void> } {
  const wakeup = openWakeup(libc);
  const bell = Number(libc.eventfd(0, 0));
  const mountInfo = openSync('/proc/self/mountinfo', 'r');
  for (const fd of world.bpf.ringFds) wakeup.watch(fd, EPOLLIN);
  wakeup.watch(bell, EPOLLIN);
  // proc_pid_mountinfo(5): a change of the mounts shows as POLLPRI.
  wakeup.watch(mountInfo, EPOLLPRI);
  let stopped = false;
  const sweeper = createSweeper(world);
  const reporter = setInterval(() => world.report(), REPORT_MS);
  const looker = setInterval(() => {
    sendAlive(world);
    world.bpf.tellRepeats(false);
    setTimeout(() => stopped || world.bpf.tellRepeats(true), FORGET_AFTER_MS);
  }, ALIVE_MS);
  const run = async () => {
    while (!stopped) {
      const ready = await wakeup.wait(IDLE_WAIT_MS);
      if (ready.includes(mountInfo)) markMounts(world.fanotify, world.log);
      await turn(world);
      sweeper.arm();
      if (ready.length > 0) await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
    }
    do await turn(world);
    while (world.bpf.ring.backlogBytes() + world.bpf.codeRing.backlogBytes() > 0);
    sweeper.stop();
    clearInterval(reporter);
    clearInterval(looker);
    closeSync(mountInfo);
    closeSync(bell);
    wakeup.close();
  };
  const done = run();
  const stop = () => {
    stopped = true;
    libc.write(bell, new BigUint64Array([1n]), 8);
    return done;
  };
  return { done, stop };
}

/** Looks after rows that wait, and only while one does: a host where nothing happens wakes nobody. */
function createSweeper({ observer, clock }: World): { arm: () => void; stop: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const arm = () => {
    if (observer.waiting() > 0) timer ??= setTimeout(sweep, SWEEP_MS);
  };
  const sweep = () => {
    timer = undefined;
    observer.sweep(clock.nowNs());
    arm();
  };
  return { arm, stop: () => clearTimeout(timer) };
}

/**
 * One round: the ring of execs first, then the descriptors, then the ring for code. A file is handed over before its exec is announced, so once the queue
 * was seen empty every exec read before has its descriptor. Execs that need none go on at once.
 */
async function turn(world: World): Promise<void> {
  const { clock, intake, arrived } = world;
  world.bpf.ring.drain(arrived);
  world.steps?.drain();
  intake.takeKnown(arrived, clock.bootOffsetNs());
  if (arrived.count > 0 && !(await world.reader.caughtUp())) {
    world.log.warn({}, 'descriptors come late: digests of new files may be missing');
  }
  intake.takeRest(arrived, clock.bootOffsetNs(), clock.nowNs());
  world.bpf.codeRing.drain(arrived);
  world.takeCode(arrived, clock.bootOffsetNs(), clock.nowNs());
}

/** Passes on who was there before. An exec between attaching and the snapshot is in both: its own event stands for it. */
function takeSnapshot({ bpf, clock, arrived, observer, packages }: World): void {
  const offset = clock.bootOffsetNs();
  const rows = snapshotRows(bpf, offset);
  bpf.ring.drain(arrived);
  const imageOf = ({ pid, start_ns, self_exec_id }: Row<'exec'>) => `${pid}:${start_ns}:${self_exec_id}`;
  const execs = Array.from({ length: arrived.count }, (_, index) =>
    decodeExecRecord(recordView(arrived, index), offset),
  );
  const live = new Set(execs.flatMap((row) => (row === undefined ? [] : [imageOf(row)])));
  for (const row of rows) {
    if (live.has(imageOf(row))) continue;
    observer.onExec(row, clock.nowNs());
    if (row.container_id !== '') packages.noteProcess(row);
  }
}

/** Linux 6.5 lets a mark on the real filesystem see executions through an overlay; marking both doubles them. */
function marksSeeThroughOverlay(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 5);
}

function markMounts(fanotify: Fanotify, log: Log): number {
  const mounts = mountsToMark(
    parseMountInfo(readFileSync('/proc/self/mountinfo', 'latin1')),
    !marksSeeThroughOverlay(),
  );
  const marked = mounts.filter(({ mountPoint, type }) => {
    const done = fanotify.mark(mountPoint);
    if (!done)
      log.warn({ mountPoint, type }, 'no fanotify mark: programs run from here are hashed only while they run');
    return done;
  });
  return marked.length;
}

function createStreams(): (stream: number) => bigint {
  const next: bigint[] = [];
  return (stream) => {
    const seq = next[stream] ?? 0n;
    next[stream] = seq + 1n;
    return seq;
  };
}
