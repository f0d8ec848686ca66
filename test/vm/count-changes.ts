/**
 * Runs inside the virtual machine while it counts instructions: what things done to files cost there more with the BPF
 * programs of either family. Prints one line of JSON: `npm run test:vm -- --shell 'node test/vm/count-changes.ts'`.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadBpfObject } from '@bintrail/probe/bpf-object.ts';
import { loadLibbpf, loadLibc } from '@bintrail/probe/ffi.ts';

const TIMES = { write: 20_000, open: 5_000, make: 2_000, chmod: 5_000 };
export type Way = keyof typeof TIMES;
/** Instructions each. */
export type ChangeCounts = Record<
  Way,
  { readonly bare: number; readonly tracepoints: number; readonly trampolines: number }
>;

const folder = mkdtempSync(join(tmpdir(), 'bintrail-icount-'));
const loop = join(folder, 'change-loop');
execFileSync('cc', ['-O2', '-o', loop, fileURLToPath(new URL('../bench/change-loop.c', import.meta.url))]);
const ways = Object.keys(TIMES) as Way[];
const each = (way: Way) =>
  Number(execFileSync(loop, [way, join(folder, way), String(TIMES[way])], { encoding: 'utf8' }));

function beside(trampolines: boolean): number[] {
  const object = fileURLToPath(new URL('../../bpf/build/bintrail.bpf.o', import.meta.url));
  const bpf = loadBpfObject(loadLibbpf(), loadLibc(), object, { trampolines });
  if (bpf.changes !== (trampolines ? 'trampolines' : 'tracepoints')) throw new Error(`${bpf.changes} are used here`);
  bpf.attach();
  ways.map(each);
  const counts = ways.map(each);
  bpf.close();
  return counts;
}

ways.map(each);
const [bare, tracepoints, trampolines] = [ways.map(each), beside(false), beside(true)];
const counts = ways.map((way, at) => [
  way,
  { bare: bare[at]!, tracepoints: tracepoints[at]!, trampolines: trampolines[at]! },
]);
console.log(`counted ${JSON.stringify(Object.fromEntries(counts) as ChangeCounts)}`);
