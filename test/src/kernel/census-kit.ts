/** Probes that die, programs that run on every CPU all the while, and what both say of where they took over. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { SeenRow } from './probe-kit.ts';

const CHILD = fileURLToPath(new URL('./census.child.ts', import.meta.url));

export type ToldExec = { readonly event: 'exec'; readonly cpu: number; readonly seq: string; readonly image: string };
export type ToldCensus = {
  readonly event: 'census';
  readonly cpu: number;
  readonly id: string;
  readonly takenOver: string;
  readonly reason: string;
};

export type KilledProbe = {
  readonly up: Promise<void>;
  readonly execs: ToldExec[];
  readonly census: ToldCensus[];
  /** By -9: what it has not told by then, it never will. */
  readonly kill: () => Promise<void>;
};

export function startProbeToKill(censusFolder: string): KilledProbe {
  const child = spawn(process.execPath, [CHILD, censusFolder], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [execs, census]: [ToldExec[], ToldCensus[]] = [[], []];
  const { promise: up, resolve, reject } = Promise.withResolvers<void>();
  createInterface(child.stdout).on('line', (line) => {
    const told = JSON.parse(line) as ToldExec | ToldCensus | { event: 'up' };
    if (told.event === 'up') resolve();
    else if (told.event === 'exec') execs.push(told);
    else census.push(told);
  });
  const exited = once(child, 'exit').then(() => reject(new Error('the probe ended')));
  up.catch(() => {});
  return { up, execs, census, kill: () => killed(child, exited) };
}

async function killed(child: ChildProcess, exited: Promise<void>): Promise<void> {
  child.kill('SIGKILL');
  await exited;
}

/** Runs programs on each CPU, in bursts that leave the probes some of it, until stopped. */
export function startExecsEverywhere(): { stop: () => Promise<void> } {
  const loops = Array.from({ length: availableParallelism() }, (_, cpu) =>
    spawn(
      'taskset',
      ['-c', `${cpu}`, 'sh', '-c', 'while :; do for n in 1 2 3 4 5 6 7 8; do /bin/true; done; sleep 0.03; done'],
      { stdio: 'ignore' },
    ),
  );
  const stop = async () => {
    await Promise.all(
      loops.map((loop) =>
        killed(
          loop,
          once(loop, 'exit').then(() => {}),
        ),
      ),
    );
  };
  return { stop };
}

/** Waits until a probe has told of an exec on each of these CPUs, and what came with it. */
export async function sawEveryCpu(probe: KilledProbe): Promise<void> {
  await probe.up;
  for (let triesLeft = 200; triesLeft > 0; triesLeft--) {
    if (new Set(probe.execs.map(({ cpu }) => cpu)).size >= availableParallelism()) break;
    await delay(50);
  }
  // Rows wait for their digests, and may overtake each other by as much.
  await delay(1_500);
}

/** The first exec of a run on each CPU, by the kernel's numbers. */
export function firstExecs({ execs }: KilledProbe): Map<number, string> {
  const byCpu = Map.groupBy(execs, ({ cpu }) => cpu);
  const earlier = (a: ToldExec, b: ToldExec) => (Number(a.seq) < Number(b.seq) ? a : b);
  return new Map([...byCpu].map(([cpu, own]) => [cpu, own.reduce(earlier).image]));
}

/** Where a run took over on each CPU, by its last word. */
export function takeovers({ census }: KilledProbe): Map<number, bigint> {
  return new Map(census.map(({ cpu, takenOver }) => [cpu, BigInt(takenOver)]));
}

/** The execs a witness saw on each CPU, in their order. */
export function witnessed(rows: readonly SeenRow[]): Map<number, string[]> {
  const execs = rows.filter(({ event, flagNames }) => event === 'exec' && !flagNames.includes('snapshot'));
  const byCpu = Map.groupBy(execs, ({ cpu }) => cpu as number);
  const images = (own: readonly SeenRow[]) =>
    own
      .toSorted((a, b) => Number(a.cpu_seq - b.cpu_seq))
      .map(({ pid, start_ns, self_exec_id }) => `${pid}:${start_ns}:${self_exec_id}`);
  return new Map([...byCpu].map(([cpu, own]) => [cpu, images(own)]));
}
