/** What a change of a file costs more while the probe watches, and what it does not even tell of: a read, a mapping. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { whyNotHere } from '../src/kernel/probe-kit.ts';
import type { Bench, Figure } from './bench.ts';
import { startProbeProcess } from './probe-process.ts';
import { alternate, summarize } from './stats.ts';
import { tempFolder } from './temp-folder.ts';

const WRITES = 400_000;
const CHMODS = 100_000;
const READS = 1_000_000;
const MAPPINGS = 200_000;
const PAIRS = 5;
const run = promisify(execFile);

async function figures(): Promise<Figure[]> {
  const folder = tempFolder('changes');
  const loop = join(folder, 'change-loop');
  await run('cc', ['-O2', '-o', loop, fileURLToPath(new URL('change-loop.c', import.meta.url))]);
  const each = async (way: string, times: number) =>
    Number((await run(loop, [way, join(folder, way), String(times)])).stdout);
  const beside = async (way: string, times: number) => {
    const probe = await startProbeProcess(folder);
    const ns = await each(way, times);
    await probe.stop();
    return ns;
  };
  const cost = async (what: string, baseline: string, way: string, times: number): Promise<Figure> => {
    await each(way, times);
    const { a, b } = await alternate<number>(
      PAIRS,
      () => each(way, times),
      () => beside(way, times),
    );
    return {
      ...{ what, unit: 'ns', value: summarize(b.map((ns, pair) => ns - a[pair]!)) },
      baseline: { what: baseline, value: summarize(a) },
      ratio: summarize(b.map((ns, pair) => ns / a[pair]! - 1)),
    };
  };
  return [
    await cost('CPU time added to a write of an existing file', 'the bare write', 'write', WRITES),
    await cost('CPU time added to a chmod of a program', 'the bare chmod', 'chmod', CHMODS),
    await cost('CPU time added to a read of one byte', 'the bare read', 'read', READS),
    await cost('CPU time added to an mmap and munmap of memory', 'the bare calls', 'pages', MAPPINGS),
  ];
}

export const bench: Bench = {
  name: 'changes',
  title: 'Cost of a change to a file, a read, a mapping',
  method:
    `pwrite of one byte, ${WRITES.toLocaleString('en-US')} times in a row, and fchmod of an executable file, ` +
    `${CHMODS.toLocaleString('en-US')} times, pread of one byte, ${READS.toLocaleString('en-US')} times, and mmap with munmap of ` +
    `a page without a file, ${MAPPINGS.toLocaleString('en-US')} times, from C, on the filesystem of the temporary folder; without and with the probe ` +
    `(its own process) in turns, ${PAIRS} pairs. A write moves the file's time once in a clock tick, a chmod each time.`,
  whyNotHere,
  run: figures,
};
