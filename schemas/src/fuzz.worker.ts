// A worker of fuzz.test.ts: a share of the inputs on a thread of its own.
import { parentPort, workerData } from 'node:worker_threads';
import { FUZZES } from './fuzz.fixture.ts';

export type Share = {
  readonly what: keyof typeof FUZZES;
  readonly seed: number;
  readonly from: number;
  readonly to: number;
};

const { what, seed, from, to } = workerData as Share;
parentPort!.postMessage(FUZZES[what](seed, from, to));
