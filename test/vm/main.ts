/**
 * The ring in the virtual machine: `npm run test:vm`, or `npm run test:vm -- FILE…` for some test files, or
 * `npm run test:vm -- --shell 'COMMAND' --with PACKAGE` to look around; `--kernel FOLDER` boots another kernel. Prints what
 * the test runner prints there.
 */
import { parseArgs } from 'node:util';
import { missingForVm } from '../../infra/setup/vm.mjs';
import { runInFreshMachine } from './fresh-machine.ts';

const { values, positionals } = parseArgs({
  options: {
    shell: { type: 'string' },
    with: { type: 'string', multiple: true, default: [] },
    kernel: { type: 'string' },
  },
  allowPositionals: true,
});
/** Of the kernel ring: what may differ between kernels and families of hooks. Others run by hand: they take minutes. */
const FILES = ['verified', 'hooks', 'cgroups', 'loads', 'overlay', 'exec', 'changes', 'scripts'].map(
  (name) => `test/src/kernel/${name}.test.ts`,
);

const missing = missingForVm(process.env);
if (missing.length > 0) {
  console.error(`the virtual machine needs what this one does not have: ${missing.map(({ name }) => name).join(', ')}`);
  process.exit(78);
}
const files = positionals.length > 0 ? positionals : FILES;
const job = values.shell ?? `exec node --test-reporter=spec test/vm/cases.ts ${files.join(' ')}`;
const wanted = {
  cpus: 1,
  memoryMb: 1536,
  countsInstructions: true,
  extraPackages: values.with,
  kernelFolder: values.kernel,
};
const ended = await runInFreshMachine(wanted, job, (line) => console.log(line));
console.log(`the machine was up in ${ended.beganS} s of its time, and done in ${ended.endedS} s`);
process.exitCode = ended.code ?? 1;
