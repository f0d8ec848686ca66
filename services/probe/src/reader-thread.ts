/**
 * The thread that reads fanotify: whatever the rest of the probe does, the kernel's queue is emptied, and what cannot be
 * hashed in time is let go. It blocks on nothing but its own event loop.
 */
import { closeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { descriptorProgram } from './bpf-object.ts';
import { createCachedReader } from './cached-bytes.ts';
import { openClock } from './clock.ts';
import { createDescriptors, type Descriptors } from './descriptors.ts';
import { createQueueReader, EVENT_BYTES, MAX_EVENTS, queuedBytes, silenceFile } from './fanotify.ts';
import { loadLibbpf, loadLibc } from './ffi.ts';
import { createNamesFile } from './named-file.ts';
import { FIGURES, type FromReader, type ReaderData, type ToReader } from './reader-messages.ts';
import { giveBackMemory } from './spare-memory.ts';
import { EPOLLIN, openWakeup } from './wakeup.ts';

/** Events taken in one turn of the event loop; then finished readings get theirs. */
const EVENTS_PER_TURN = 512;
const WAIT_MS = 60_000;
/** How long to wait when as many descriptors are held as may be, all of them new or being read. */
const FULL_RETRY_MS = 2;

const port = parentPort!;
const data = workerData as ReaderData;
const libc = loadLibc();
const clock = openClock(libc);
const figures = new BigInt64Array(data.figures);
const wakeup = openWakeup(libc);
const bell = Number(libc.eventfd(0, 0));
const readQueue = createQueueReader(libc, data.fanotifyFd);
const outgoing: FromReader[] = [];
/** What was queued when each was asked for and has not been taken yet: a queue that fills all the time is never empty. */
let fences: { readonly id: number; readonly eventsLeft: number }[] = [];
let flushing = false;
let closing = false;

function flush(): void {
  flushing = false;
  Atomics.store(figures, FIGURES.held, BigInt(descriptors.held()));
  if (outgoing.length > 0) port.postMessage(outgoing.splice(0));
}

function tell(message: FromReader): void {
  outgoing.push(message);
  if (flushing) return;
  flushing = true;
  setImmediate(flush);
}

const describe = descriptorProgram(loadLibbpf(), libc, data.describeProgramFd);

const descriptors: Descriptors = createDescriptors({
  ...{ describe, namesFile: createNamesFile(libc, describe) },
  ...{
    nowNs: clock.nowNs,
    tickNs: data.tickNs,
    maxFileBytes: data.maxFileBytes,
    maxBytesPerS: data.maxBytesPerS,
    rootDev: data.rootDev,
    tell,
  },
  readCached: createCachedReader(libc),
  silence: (fd, silent) => silenceFile(libc, data.fanotifyFd, fd, silent),
  onReleased: () => Atomics.add(figures, FIGURES.released, 1n),
});

/** Takes what is queued. 'more': the turn was used up; 'full': no descriptor more may be held. */
function drain(): 'empty' | 'more' | 'full' {
  for (let taken = 0; taken < EVENTS_PER_TURN; taken += MAX_EVENTS) {
    // At the limit of open files the kernel could not deliver: never ask it there.
    if (descriptors.held() >= data.maxHeld && !descriptors.makeRoom()) return 'full';
    const { files, overflows, failed, isEmpty } = readQueue(data.maxHeld - descriptors.held());
    Atomics.add(figures, FIGURES.delivered, BigInt(files.length));
    Atomics.add(figures, FIGURES.unopened, BigInt(failed));
    if (overflows > 0) {
      Atomics.add(figures, FIGURES.overflows, BigInt(overflows));
      Atomics.store(figures, FIGURES.overflowedAtNs, clock.nowNs());
    }
    for (const { fd, pid } of files) descriptors.take(fd, pid);
    if (isEmpty) return 'empty';
    passFences(files.length + overflows + failed);
  }
  return 'more';
}

/** The kernel hands events over in the order in which they came. */
function passFences(taken: number): void {
  fences = fences.flatMap(({ id, eventsLeft }) => {
    if (eventsLeft > taken) return { id, eventsLeft: eventsLeft - taken };
    tell({ kind: 'passed', id });
    Atomics.store(figures, FIGURES.passed, BigInt(id));
    return [];
  });
}

let draining = false;

async function drainAll(): Promise<void> {
  if (draining) return;
  draining = true;
  for (let left = drain(); left !== 'empty'; left = drain()) {
    await new Promise((resolve) => (left === 'full' ? setTimeout(resolve, FULL_RETRY_MS) : setImmediate(resolve)));
  }
  draining = false;
  passFences(Number.POSITIVE_INFINITY);
}

port.on('message', (message: ToReader) => {
  if (message.kind === 'read') {
    Atomics.add(figures, FIGURES.asked, 1n);
    descriptors.read(message.id, message.fd, message);
  } else if (message.kind === 'close') {
    closing = true;
    libc.write(bell, new BigUint64Array([1n]), 8);
  } else {
    fences.push({ id: message.id, eventsLeft: queuedBytes(libc, data.fanotifyFd) / EVENT_BYTES });
    drainAll();
  }
});

wakeup.watch(data.fanotifyFd, EPOLLIN);
wakeup.watch(bell, EPOLLIN);
giveBackMemory(libc);
while (!closing) {
  await wakeup.wait(WAIT_MS);
  await drainAll();
}
descriptors.close();
flush();
wakeup.close();
closeSync(bell);
port.close();
