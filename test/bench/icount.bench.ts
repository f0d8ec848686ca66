/** What an exec, a load of code and an open cost in instructions: in a virtual machine that counts them, so that no other load changes a figure. */
import { findCommand } from '../../infra/setup/commands.mjs';
import { missingForVm } from '../../infra/setup/vm.mjs';
import type { Case, InstructionCounts, Watched } from '../vm/count-instructions.ts';
import { runInFreshMachine } from '../vm/fresh-machine.ts';
import type { Bench, Figure } from './bench.ts';
import { single } from './stats.ts';

const FAMILIES = ['tracepoint', 'lsm'] as const;

async function count(): Promise<InstructionCounts> {
  let counts: InstructionCounts | undefined;
  const baseline = findCommand(['bpftrace'], process.env) === undefined ? [] : ['bpftrace'];
  const job = `exec node test/vm/count-instructions.ts ${baseline.map((name) => `--${name}`)}`;
  const wanted = { cpus: 1, memoryMb: 1536, countsInstructions: true, skipsIdle: true, extraPackages: baseline };
  const ended = await runInFreshMachine(wanted, job, (line) => {
    if (line.startsWith('counted ')) counts = JSON.parse(line.slice('counted '.length));
    else console.error(line);
  });
  if (counts === undefined) throw new Error(`the virtual machine ended with ${ended.code}, and no counts`);
  return counts;
}

async function run(): Promise<Figure[]> {
  const { bare, probe, bpftrace } = await count();
  const added = (which: Case, what: string, { cpu, agent }: Watched, beside?: Watched): Figure => {
    const kernel = cpu - bare[which];
    const baseline = beside && {
      what: 'bpftrace, without a digest',
      value: thousands(beside.cpu - bare[which] + beside.agent),
    };
    return {
      ...{ what, unit: 'k instr.', value: thousands(kernel + agent) },
      detail: `kernel side ${text(kernel)}, probe ${text(agent)}`,
      ...(baseline && { baseline }),
    };
  };
  return [
    { what: 'a bare exec of a static program, and its exit', unit: 'k instr.', value: thousands(bare.exec) },
    ...FAMILIES.flatMap((family): Figure[] => {
      const { exec, trickle, load, open, idlePerS } = probe[family];
      const quiet = { cpu: trickle.cpu, agent: trickle.agent - idlePerS / EXECS_A_SECOND };
      const aim = { aim: { of: 'value', op: '≤', value: 55 }, whyMissed: WHY_MISSED } as const;
      return [
        { ...added('exec', `added to it, back to back, ${family}`, exec, bpftrace?.exec), ...aim },
        added('trickle', `added to it at ${EXECS_A_SECOND} a second, ${family}`, quiet),
        added('load', `added to a load of a known library, ${family}`, load, bpftrace?.load),
        added('open', `added to an open of a file that is no code, ${family}`, open, bpftrace?.open),
        { what: `of the probe in a second without events, ${family}`, unit: 'k instr.', value: thousands(idlePerS) },
      ];
    }),
  ];
}

const EXECS_A_SECOND = 10;
const thousands = (instructions: number) => single(instructions / 1_000);
const text = (instructions: number) => (instructions / 1_000).toFixed(1);

const WHY_MISSED =
  'on the kernel side it is reading the task and walking three paths, in the probe hashing and comparing six texts and writing sixty columns.';

export const bench: Bench = {
  name: 'icount',
  title: 'Instructions of an exec, a load and an open',
  method:
    "In a virtual machine with Debian's 6.1 kernel and one CPU whose clock is the number of instructions it ran (QEMU, " +
    '-icount shift=0,sleep=off). An exec: vfork, exec of a program that only ends and whose digest is cached, and wait, from C, back to ' +
    'back (some 3,500 a second there), and at ten a second, where the probe wakes for each; what it does without events is ' +
    'taken off. A load: mmap of one of two libraries for execution, and munmap; the first load of each is an event, the ' +
    'next ones are counted. An open: of a data file, and close. Kernel side: what the processes themselves took more; ' +
    'probe: all its threads, until everything was sent. Beside it bpftrace, where installed, which writes the same to a file ' +
    'as text: program, arguments and end of each process; name of what is mapped for execution; path of what is opened.',
  whyNotHere: () => {
    const missing = missingForVm(process.env);
    return missing.length > 0 ? `needs ${missing.map(({ name }) => name).join(', ')}` : undefined;
  },
  run,
};
