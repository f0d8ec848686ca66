/** The loop of the probe: waits until the kernel has something, and takes it in rounds. */
import { closeSync, openSync } from 'node:fs';
import type { Log } from '@bintrail/runtime/log.ts';
import { sendAlive } from './alive.ts';
import type { BpfObject } from './bpf-object.ts';
import type { Clock } from './clock.ts';
import type { CodeIntake } from './code-intake.ts';
import type { ContainerNames } from './containers/names.ts';
import type { EventsOut } from './events-out.ts';
import type { ExecSteps } from './exec-steps.ts';
import type { Libc } from './ffi.ts';
import { createGatherer, type Gatherer } from './gatherer.ts';
import type { ImageId } from './image-table.ts';
import { sendMappedCode } from './mapped-snapshot.ts';
import type { Marks } from './marks.ts';
import type { Observer } from './observer.ts';
import type { Packages } from './open-packages.ts';
import type { Reader } from './reader.ts';
import { type RecordBuffer, recordView } from './record-buffer.ts';
import type { Intake } from './record-intake.ts';
import type { RecordPath } from './record-path.ts';
import { decodeExecRecord, snapshotRows } from './records.ts';
import type { Report } from './report.ts';
import { EPOLLET, EPOLLIN, EPOLLPRI, openWakeup } from './wakeup.ts';

const SWEEP_MS = 100;
/** After a bell: many programs that are new ring no more often than this. */
const RING_AGAIN_MS = 2;
/** How often the reader is waited for, a second each (reader.ts). */
const READER_TRIES = 3;
const REPORT_MS = 5_000;
const ALIVE_MS = 60_000;
/** Longest sleep; every wait also ends when the kernel has something. */
const IDLE_WAIT_MS = 1_000;
/** No program of the kernel runs for so long: what is closed by then is not counted on. */
const FORGET_AFTER_MS = 100;

/** What a round of the loop works with. */
export type World = {
  readonly bpf: BpfObject;
  readonly steps: ExecSteps | undefined;
  readonly marks: Marks;
  readonly packages: Packages;
  readonly clock: Clock;
  readonly observer: Observer;
  readonly reader: Reader;
  readonly intake: Intake;
  readonly takeCode: CodeIntake;
  readonly arrived: RecordBuffer;
  readonly out: EventsOut;
  readonly origins: RecordPath['origins'];
  readonly nextSeq: (stream: number) => bigint;
  readonly containerOf: RecordPath['containerOf'];
  readonly containerNames: ContainerNames;
  readonly report: Report;
  readonly log: Log;
};

/** Runs rounds until it is stopped; `done` rejects on a bug. */
export function runLoop(libc: Libc, world: World): { done: Promise<void>; stop: () => Promise<void> } {
  const wakeup = openWakeup(libc);
  const bell = Number(libc.eventfd(0, 0));
  const mountInfo = openSync('/proc/self/mountinfo', 'r');
  // By their bells only: what waits there quietly is taken without being asked for.
  for (const fd of world.bpf.ringFds) wakeup.watch(fd, EPOLLIN | EPOLLET);
  wakeup.watch(bell, EPOLLIN);
  // proc_pid_mountinfo(5): a change of the mounts shows as POLLPRI.
  wakeup.watch(mountInfo, EPOLLPRI);
  let stopped = false;
  const failure = Promise.withResolvers<never>();
  const backlogBytes = () => world.bpf.ring.backlogBytes() + world.bpf.codeRing.backlogBytes();
  const sweeper = createSweeper(world);
  const gatherer: Gatherer = createGatherer({
    take: async () => {
      await turn(world);
      sweeper.arm();
    },
    ...{ backlogBytes, setGathering: world.bpf.bell.setGathering, onFatal: failure.reject },
  });
  const reporter = setInterval(() => world.report(), REPORT_MS);
  const looker = setInterval(() => {
    sendAlive(world);
    world.bpf.tellRepeats(false);
    setTimeout(() => stopped || world.bpf.tellRepeats(true), FORGET_AFTER_MS);
  }, ALIVE_MS);
  const run = async () => {
    while (!stopped) {
      const ready = await wakeup.wait(IDLE_WAIT_MS);
      if (ready.includes(mountInfo)) world.marks.markMounts();
      if (ready.length > 0 || backlogBytes() > 0) await gatherer.look();
      if (ready.length > 0) await new Promise((resolve) => setTimeout(resolve, RING_AGAIN_MS));
    }
    await gatherer.stop();
    do await turn(world);
    while (backlogBytes() > 0);
    sweeper.stop();
    clearInterval(reporter);
    clearInterval(looker);
    closeSync(mountInfo);
    closeSync(bell);
    wakeup.close();
  };
  const done = Promise.race([run(), failure.promise]);
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
 * One round: the ring of execs first, then the descriptors, then the ring for code. A file is handed over before its exec
 * is announced, so once the queue was seen empty every exec read before has its descriptor. Execs that need none go on at
 * once.
 */
async function turn(world: World): Promise<void> {
  const { clock, intake, arrived } = world;
  world.bpf.ring.drain(arrived);
  world.steps?.drain();
  if (arrived.count > 0) intake.takeKnown(arrived, clock.bootOffsetNs());
  if (arrived.count > 0) {
    if (!(await caughtUp(world))) {
      world.log.warn({}, 'descriptors come late: digests of new files may be missing');
    }
    intake.takeRest(arrived, clock.bootOffsetNs(), clock.nowNs());
  }
  world.bpf.codeRing.drain(arrived);
  if (arrived.count > 0) world.takeCode(arrived, clock.bootOffsetNs(), clock.nowNs());
}

/** A reader that a storm keeps busy is waited for longer, but not until execs are lost for it. */
async function caughtUp({ reader, bpf }: World): Promise<boolean> {
  for (let triesLeft = READER_TRIES; triesLeft > 0; triesLeft--) {
    if (await reader.caughtUp()) return true;
    if (!bpf.ring.hasRoom()) return false;
  }
  return false;
}

/**
 * Passes on who was there before, and what they have mapped. An exec between attaching and the snapshot is in both: its own
 * event stands for it.
 */
export function takeSnapshot(world: World): void {
  const { bpf, clock, arrived, observer, packages } = world;
  const offset = clock.bootOffsetNs();
  const rows = snapshotRows(bpf, offset);
  bpf.ring.drain(arrived);
  const imageOf = ({ pid, start_ns, self_exec_id }: ImageId) => `${pid}:${start_ns}:${self_exec_id}`;
  const execs = Array.from({ length: arrived.count }, (_, index) =>
    decodeExecRecord(recordView(arrived, index), offset),
  );
  const live = new Set(execs.flatMap((row) => (row === undefined ? [] : [imageOf(row)])));
  const found = rows.filter((row) => !live.has(imageOf(row)));
  for (const row of found) {
    observer.onExec(row, clock.nowNs());
    if (row.container_id !== '') packages.noteProcess(row);
  }
  const there = new Set(found.map(imageOf));
  sendMappedCode({ ...world, wasThere: (image) => there.has(imageOf(image)) }, offset);
}
