import { cpus, loadavg, release, totalmem } from 'node:os';

/** What the figures were taken on. */
export type Machine = {
  readonly cpu: string;
  readonly cores: number;
  readonly memory_gib: number;
  readonly kernel: string;
  readonly node: string;
};

export function thisMachine(): Machine {
  const cores = cpus();
  return {
    cpu: cores[0]?.model.trim() ?? 'unknown CPU',
    cores: cores.length,
    memory_gib: Math.round(totalmem() / 1024 ** 3),
    kernel: `${process.platform === 'linux' ? 'Linux' : process.platform} ${release()}`,
    node: process.version,
  };
}

export function machineText({ cpu, cores, memory_gib, kernel, node }: Machine): string {
  return `${cpu}, ${cores} cores, ${memory_gib} GiB, ${kernel}, Node ${node}`;
}

/** Load average of the last minute before a bench: above 0.5 or so, others were using the machine. */
export function loadNow(): number {
  return Math.round(loadavg()[0]! * 100) / 100;
}
