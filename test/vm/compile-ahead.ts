/**
 * Compiles what the machine will run into NODE_COMPILE_CACHE, where nothing is translated (QEMU): there it takes seconds, each
 * time Node or one of its threads starts. Nothing runs at import but what is left out here.
 */
import { globSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const RUNS_AT_IMPORT = /(?:\.test|\.child|\.fixture|main|-thread)\.ts$/;

for (const file of globSync([`${ROOT}services/probe/src/**/*.ts`, `${ROOT}test/src/kernel/probe-*.ts`])) {
  // What cannot be loaded from the disk's few packages is compiled all the same, and not needed there.
  if (!RUNS_AT_IMPORT.test(file)) await import(pathToFileURL(file).href).catch(() => {});
}
