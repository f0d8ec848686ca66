/**
 * Runs inside the virtual machine while it counts instructions: what an exec costs there bare, with the BPF programs
 * alone, and with the whole probe beside it. Prints one line of JSON.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loadBpfObject } from '@bintrail/probe/bpf-object.ts';
import { openExecSteps } from '@bintrail/probe/exec-steps.ts';
import { loadLibbpf, loadLibc } from '@bintrail/probe/ffi.ts';
import { cpuNs, startProbeProcess } from '../bench/probe-process.ts';
import { buildPrograms, type LoopTimes } from '../bench/programs.ts';

/** Instructions an exec: the `median` from a vfork to the end of its wait, whoever ran meanwhile; `cpu` of its processes. */
export type Counted = { readonly median: number; readonly cpu: number };
export type Families = 'tracepoint' | 'lsm';
export type InstructionCounts = {
  readonly execs: number;
  readonly bare: Counted;
  /** The BPF programs without anybody who reads what they send. */
  readonly kernel: Record<Families, Counted>;
  readonly probe: Record<Families, Counted & { readonly agent: number }>;
  /** Where it is installed: names, arguments and ends of processes as text, without a digest. */
  readonly bpftrace?: Counted & { readonly agent: number };
};

const EXECS = 500;
/** Enough for Node to have compiled what is hot in the probe. */
const WARM_UP = 2_000;
/** Until what the probe has read is sent. */
const SETTLE_MS = 1_000;
const bpfObject = (name: string) => fileURLToPath(new URL(`../../bpf/build/${name}.bpf.o`, import.meta.url));

const folder = mkdtempSync(join(tmpdir(), 'bintrail-icount-'));
const programs = await buildPrograms(folder);
const loop = (execs: number) => programs.loop(execs, programs.noop);
const counted = ({ median, cpu }: LoopTimes): Counted => ({ median, cpu });

async function withKernelPart(family: Families): Promise<Counted> {
  const [libbpf, libc] = [loadLibbpf(), loadLibc()];
  const steps = family === 'lsm' ? openExecSteps(libbpf, libc, bpfObject('lsm')) : undefined;
  const bpf = loadBpfObject(libbpf, libc, bpfObject('bintrail'), { trampolines: family === 'lsm' });
  steps?.attach();
  bpf.attach();
  await loop(EXECS);
  const times = await loop(EXECS);
  bpf.close();
  steps?.close();
  return counted(times);
}

async function withProbe(family: Families): Promise<Counted & { agent: number }> {
  process.env.BINTRAIL_HOOKS = family;
  const probe = await startProbeProcess(mkdtempSync(join(folder, 'home-')));
  await loop(WARM_UP);
  await delay(SETTLE_MS);
  const before = cpuNs(probe.pid);
  const times = await loop(EXECS);
  await delay(SETTLE_MS);
  const agent = (cpuNs(probe.pid) - before) / EXECS;
  await probe.stop();
  return { ...counted(times), agent };
}

const BPFTRACE_PROGRAM = `
  tracepoint:syscalls:sys_enter_execve
  { printf("%d %d %s %s ", pid, uid, comm, str(args->filename)); join(args->argv); }
  tracepoint:sched:sched_process_exit { printf("exit %d %s\\n", pid, comm); }`;

/** The same capture by bpftrace, which writes it to a file. */
async function withBpftrace(): Promise<Counted & { agent: number }> {
  const output = openSync(join(folder, 'bpftrace.out'), 'w');
  const child = spawn('bpftrace', ['-e', BPFTRACE_PROGRAM], { stdio: ['ignore', output, 'inherit'] });
  const written = () => readFileSync(join(folder, 'bpftrace.out'), 'utf8');
  while (!written().startsWith('Attaching')) await delay(100);
  await delay(SETTLE_MS);
  await loop(EXECS / 10);
  const before = cpuNs(child.pid!);
  const times = await loop(EXECS);
  await delay(SETTLE_MS);
  const agent = (cpuNs(child.pid!) - before) / EXECS;
  child.kill('SIGINT');
  await once(child, 'exit');
  if (!written().includes(programs.noop)) throw new Error('bpftrace saw none of the execs');
  return { ...counted(times), agent };
}

await loop(EXECS);
const bare = counted(await loop(EXECS));
const kernel = { tracepoint: await withKernelPart('tracepoint'), lsm: await withKernelPart('lsm') };
const probe = { tracepoint: await withProbe('tracepoint'), lsm: await withProbe('lsm') };
const counts: InstructionCounts = { execs: EXECS, bare, kernel, probe };
const withBaseline = process.argv.includes('--bpftrace') ? { ...counts, bpftrace: await withBpftrace() } : counts;
console.log(`counted ${JSON.stringify(withBaseline)}`);
