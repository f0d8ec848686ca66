/** The main thread's side of the thread that reads containers' package databases: it asks, and waits within a bound. */
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Log } from '@bintrail/runtime/log.ts';
import type { Answer, Question } from './container-packages.ts';
import type { FromPackageThread, PackageThreadData, ToPackageThread } from './package-messages.ts';

export type PackageReader = {
  /** Always answers within a bound: `unread` when the thread does not. Starts it when it is first needed. */
  readonly ask: (question: Question) => Promise<Answer>;
  readonly close: () => Promise<void>;
};

/** What a row waits for at most: reading the database of a large image for the first time takes 1 to 2 s. */
const ANSWER_MS = 5_000;
/** More questions than these are not asked. */
const MAX_ASKED = 4_096;
/** A thread that hangs in a disk or a server does not end; the process will all the same. */
const CLOSE_MS = 1_000;
/** A thread that failed is not started again before. */
const RESTART_MS = 60_000;
/** Of JavaScript's own objects; indexes are outside and bounded by themselves. */
const LIMITS = { maxOldGenerationSizeMb: 192, maxYoungGenerationSizeMb: 8 };

type Waiting = { readonly resolve: (answer: Answer) => void; readonly timer: NodeJS.Timeout };

type State = {
  readonly data: PackageThreadData;
  readonly log: Log;
  readonly waiting: Map<number, Waiting>;
  worker: Worker | undefined;
  failedAtMs: number;
  /** A question was given up and nothing has been answered since: it hangs, and nobody waits for it. */
  isStuck: boolean;
  nextId: number;
};

export function createPackageReader(data: PackageThreadData, log: Log): PackageReader {
  const state: State = {
    ...{ data, log, waiting: new Map(), worker: undefined },
    ...{ failedAtMs: Number.NEGATIVE_INFINITY, isStuck: false, nextId: 0 },
  };
  return {
    ask: (question) => ask(state, question),
    close: async () => {
      giveUp(state, 'the probe ends');
      await Promise.race([state.worker?.terminate(), delay(CLOSE_MS, undefined, { ref: false })]);
    },
  };
}

function unread(why: string): Answer {
  return { outcome: 'unread', owners: [], why };
}

function ask(state: State, question: Question): Promise<Answer> {
  if (state.worker === undefined && performance.now() - state.failedAtMs < RESTART_MS)
    return Promise.resolve(unread('the thread that reads package databases failed'));
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const id = state.nextId++;
  const message: ToPackageThread = { id, question };
  if (state.waiting.size >= MAX_ASKED) return Promise.resolve(unread('too many questions at once'));
  state.worker ??= startWorker(state);
  if (state.isStuck) return Promise.resolve(unread('package databases cannot be read at the moment'));
  const timer = setTimeout(() => {
    state.waiting.delete(id);
    if (!state.isStuck) state.log.warn({}, 'package databases of containers answer late: rows go without');
    state.isStuck = true;
    resolve(unread(`no answer within ${ANSWER_MS} ms`));
  }, ANSWER_MS);
  state.waiting.set(id, { resolve, timer });
  state.worker.postMessage(message);
  return promise;
}

function startWorker(state: State): Worker {
  const worker = new Worker(new URL('./package-thread.ts', import.meta.url), {
    ...{ workerData: state.data, name: 'packages', resourceLimits: LIMITS, trackUnmanagedFds: false },
  });
  worker.on('message', ({ id, answer }: FromPackageThread) => {
    state.isStuck = false;
    settle(state, id, answer);
  });
  // Out of memory by what it was given to read, or a bug: evidence is optional, the probe is not.
  worker.on('error', (error) => {
    state.log.error({ err: error }, 'the thread that reads package databases of containers failed');
    Object.assign(state, { worker: undefined, failedAtMs: performance.now(), isStuck: false });
    giveUp(state, 'the thread that reads package databases failed');
  });
  worker.unref();
  return worker;
}

function settle(state: State, id: number, answer: Answer): void {
  const asked = state.waiting.get(id);
  if (asked === undefined) return;
  clearTimeout(asked.timer);
  state.waiting.delete(id);
  asked.resolve(answer);
}

function giveUp(state: State, why: string): void {
  for (const id of state.waiting.keys()) settle(state, id, unread(why));
}
