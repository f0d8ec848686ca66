/** The thread that reads containers' package databases: what hangs or takes its time there hangs here alone. */
import { parentPort, workerData } from 'node:worker_threads';
import { descriptorProgram } from '../bpf-object.ts';
import { loadLibbpf, loadLibc } from '../ffi.ts';
import { openContainerPackages } from './container-packages.ts';
import type { FromPackageThread, PackageThreadData, ToPackageThread } from './package-messages.ts';

const { describeProgramFd } = workerData as PackageThreadData;
const libc = loadLibc();
const packages = openContainerPackages({ libc, describe: descriptorProgram(loadLibbpf(), libc, describeProgramFd) });

let last = Promise.resolve();

/** One after the other: the second that asks for an image finds its index. */
parentPort!.on('message', ({ id, question }: ToPackageThread) => {
  last = last.then(async () => {
    const told: FromPackageThread = { id, answer: await packages.ask(question) };
    parentPort!.postMessage(told);
  });
});
