/**
 * Runs inside the virtual machine while it counts instructions: what an exec, a load of code and an open cost there bare,
 * and with the probe beside them, in the processes that do it and in the probe's own. Prints one line of JSON.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { cpuNs, startProbeProcess } from '../bench/probe-process.ts';
import { buildPrograms } from '../bench/programs.ts';

/**
 * What is done again and again, back to back but for `trickle`. Before it is counted Node has to have compiled what is hot
 * in the probe, for which more execs are still better (measured).
 */
const CASES = {
  exec: { times: 2_000, warmUp: 14_000 },
  trickle: { times: 100, warmUp: 0 },
  load: { times: 20_000, warmUp: 100 },
  open: { times: 20_000, warmUp: 100 },
} as const;
export type Case = keyof typeof CASES;

/** A trickle: ten execs a second. */
const PAUSE_US = 100_000;

/** Instructions each time: of the processes that do it, and of the one that watches. */
export type Watched = { readonly cpu: number; readonly agent: number };
export type Families = 'tracepoint' | 'lsm';
export type InstructionCounts = {
  readonly bare: Record<Case, number>;
  readonly probe: Record<Families, Record<Case, Watched> & { readonly idlePerS: number }>;
  /** Where it is installed: what happens as text, without a digest. */
  readonly bpftrace?: Record<Exclude<Case, 'trickle'>, Watched>;
};

/** Until what the probe has read is sent. */
const SETTLE_MS = 1_000;
/** What bpftrace has to end in. */
const END_MS = 5_000;
/** Two of the probe's reports. */
const IDLE_MS = 10_000;

const folder = mkdtempSync(join(tmpdir(), 'bintrail-icount-'));
const programs = await buildPrograms(folder);
const data = join(folder, 'data');
writeFileSync(data, 'no code\n');
/** Nothing but its exit: what is counted is the kernel's work. This machine is an x86-64. */
const noop = join(folder, 'nothing');
writeFileSync(`${noop}.c`, 'void _start(void) { __asm__ volatile("syscall" : : "a"(231), "D"(0)); }\n');
await promisify(execFile)('cc', ['-O1', '-static', '-nostdlib', '-o', noop, `${noop}.c`]);

const DO: Record<Case, (times: number) => Promise<number>> = {
  exec: async (times) => (await programs.loop(times, noop)).cpu,
  trickle: async (times) => (await programs.loop(times, noop, PAUSE_US)).cpu,
  load: (times) => programs.use('load', times, ...programs.libraries.slice(0, 2)),
  open: (times) => programs.use('open', times, data),
};

/** One case, beside the process that watches. */
async function watched(which: Case, pid: number, warmUp: number = CASES[which].warmUp): Promise<Watched> {
  const { times } = CASES[which];
  if (warmUp > 0) await DO[which](warmUp);
  await delay(SETTLE_MS);
  const before = cpuNs(pid);
  const cpu = await DO[which](times);
  await delay(SETTLE_MS);
  const counted = { cpu, agent: (cpuNs(pid) - before) / times };
  console.log(`${which}: ${JSON.stringify(counted)}`);
  return counted;
}

async function withProbe(family: Families) {
  process.env.BINTRAIL_HOOKS = family;
  const probe = await startProbeProcess(mkdtempSync(join(folder, 'home-')));
  const exec = await watched('exec', probe.pid);
  const before = cpuNs(probe.pid);
  await delay(IDLE_MS);
  const idlePerS = (cpuNs(probe.pid) - before) / (IDLE_MS / 1_000);
  const counted = {
    ...{ exec, idlePerS, trickle: await watched('trickle', probe.pid) },
    ...{ load: await watched('load', probe.pid), open: await watched('open', probe.pid) },
  };
  await probe.stop();
  return counted;
}

/** The same by bpftrace, which writes it to a file. */
const BPFTRACE = {
  exec: `
    tracepoint:syscalls:sys_enter_execve
    { printf("%d %d %s %s ", pid, uid, comm, str(args->filename)); join(args->argv); }
    tracepoint:sched:sched_process_exit { printf("exit %d %s\\n", pid, comm); }`,
  load: `
    kfunc:security_mmap_file /(uint64)args->file != 0 && (args->prot & 4) != 0/
    { printf("%d %d %s %s\\n", pid, uid, comm, str(args->file->f_path.dentry->d_name.name)); }`,
  open: 'tracepoint:syscalls:sys_enter_openat { printf("%d %d %s %s\\n", pid, uid, comm, str(args->filename)); }',
};
const SEEN = { exec: noop, load: 'lib0.so', open: data };

async function withBpftrace(which: keyof typeof BPFTRACE): Promise<Watched> {
  const name = join(folder, `bpftrace.${which}`);
  const child = spawn('bpftrace', ['-e', BPFTRACE[which]], { stdio: ['ignore', openSync(name, 'w'), 'inherit'] });
  while (!readFileSync(name, 'utf8').startsWith('Attaching')) {
    if (child.exitCode !== null) throw new Error(`bpftrace ended with ${child.exitCode} before it watched ${which}`);
    await delay(100);
  }
  const counted = await watched(which, child.pid!, CASES[which].times / 10);
  child.kill('SIGINT');
  await Promise.race([once(child, 'exit'), delay(END_MS)]);
  if (!readFileSync(name, 'utf8').includes(SEEN[which])) throw new Error(`bpftrace saw none of ${which}`);
  return counted;
}

async function bareOf(which: Case): Promise<number> {
  await DO[which](CASES[which].times / 10);
  const cpu = await DO[which](CASES[which].times);
  console.log(`${which}, bare: ${cpu}`);
  return cpu;
}

const counts: InstructionCounts = {
  bare: {
    ...{ exec: await bareOf('exec'), trickle: await bareOf('trickle') },
    ...{ load: await bareOf('load'), open: await bareOf('open') },
  },
  probe: { tracepoint: await withProbe('tracepoint'), lsm: await withProbe('lsm') },
  ...(process.argv.includes('--bpftrace') && {
    // In this order: bpftrace 0.17 never ends that has watched mappings, by kprobe or trampoline.
    bpftrace: { exec: await withBpftrace('exec'), open: await withBpftrace('open'), load: await withBpftrace('load') },
  }),
};
console.log(`counted ${JSON.stringify(counts)}`);
process.exit();
