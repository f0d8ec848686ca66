/** What an exec costs in instructions: in a virtual machine that counts them, so that no other load changes a figure. */
import { findCommand } from '../../infra/setup/commands.mjs';
import { missingForVm } from '../../infra/setup/vm.mjs';
import type { Counted, InstructionCounts } from '../vm/count-instructions.ts';
import { runInFreshMachine } from '../vm/fresh-machine.ts';
import type { Bench, Figure } from './bench.ts';
import { summarize } from './stats.ts';

const FAMILIES = ['tracepoint', 'lsm'] as const;

async function count(): Promise<InstructionCounts> {
  let counts: InstructionCounts | undefined;
  const baseline = findCommand(['bpftrace'], process.env) === undefined ? [] : ['bpftrace'];
  const job = `exec node test/vm/count-instructions.ts ${baseline.map((name) => `--${name}`)}`;
  const wanted = { cpus: 1, memoryMb: 1536, countsInstructions: true, extraPackages: baseline };
  const ended = await runInFreshMachine(wanted, job, (line) => {
    if (line.startsWith('counted ')) counts = JSON.parse(line.slice('counted '.length));
    else console.error(line);
  });
  if (counts === undefined) throw new Error(`the virtual machine ended with ${ended.code}, and no counts`);
  return counts;
}

async function run(): Promise<Figure[]> {
  const { execs, bare, kernel, probe, bpftrace } = await count();
  const thousands = (instructions: number) => ({ ...summarize([instructions / 1_000]), samples: execs });
  const baseline = { what: 'the bare exec', value: thousands(bare.median) };
  const added = (of: Counted) => of.median - bare.median;
  const together = (of: Counted & { readonly agent: number }) => thousands(of.cpu - bare.cpu + of.agent);
  const beside = bpftrace && { what: 'bpftrace, without a digest', value: together(bpftrace) };
  return FAMILIES.flatMap((family): Figure[] => [
    {
      what: `added by the BPF programs alone, ${family}`,
      ...{ unit: 'k instr.', value: thousands(added(kernel[family])), baseline },
    },
    {
      what: `of the probe's process for an exec and its exit, ${family}`,
      ...{ unit: 'k instr.', value: thousands(probe[family].agent) },
    },
    {
      what: `added by kernel side and probe together, ${family}`,
      ...{ unit: 'k instr.', value: together(probe[family]), baseline: beside ?? baseline },
      ...(family === 'tracepoint' && { aim: { of: 'value', op: '≤', value: 55 } as const, whyMissed: WHY_MISSED }),
    },
  ]);
}

const WHY_MISSED =
  'most of it is JavaScript: the loop that reads ring and descriptors wakes up for every few execs, and one thread hands ' +
  'files over to the other.';

export const bench: Bench = {
  name: 'icount',
  title: 'Instructions of an exec',
  method:
    "vfork, exec of a static no-op, exit and wait from C, in a virtual machine with Debian's 6.1 kernel and one CPU whose " +
    'clock is the number of instructions it ran (QEMU, -icount shift=0,sleep=off); the digest is cached. BPF programs ' +
    'alone: nobody reads what they send. Together: CPU time of the processes that exec and of ' +
    'the probe; beside it bpftrace, where installed, writing program, arguments and end of each process to a file.',
  whyNotHere: () => {
    const missing = missingForVm(process.env);
    return missing.length > 0 ? `needs ${missing.map(({ name }) => name).join(', ')}` : undefined;
  },
  run,
};
