/** The real probe in a process of its own, on a bus of its own, and what it costs. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PROBE_MAIN, PROBE_NODE_OPTIONS, probeEnvironment } from '@bintrail/probe/launch.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { type Batch, decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { numberAt, textAt } from '@bintrail/schemas/row.ts';
import { COMPACTED_TOPICS, TOPICS } from '@bintrail/schemas/topics.ts';
import { NO_CENSUS } from '../src/e2e/bintrail.ts';

const SETTLE_MS = 1_500;

export type ProbeProcess = {
  readonly pid: number;
  /** Ends the probe after it has sent everything. */
  readonly stop: () => Promise<void>;
};

/** Resolves when the probe is attached and has sent the processes that were there. `program`: another than its own main. */
export async function startProbeProcess(
  homeDir: string,
  program = PROBE_MAIN,
  args: readonly string[] = [],
): Promise<ProbeProcess> {
  const child = fork(program, args, {
    env: probeEnvironment({ ...process.env, BINTRAIL_HOME: homeDir, BINTRAIL_CENSUS: NO_CENSUS }),
    execArgv: PROBE_NODE_OPTIONS,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  await Promise.race([once(child, 'message'), failedStart(child)]);
  await delay(SETTLE_MS);
  const stop = async () => {
    const ended = once(child, 'exit');
    child.disconnect();
    await ended;
  };
  return { pid: child.pid!, stop };
}

async function failedStart(child: ChildProcess): Promise<never> {
  const [code] = (await once(child, 'exit')) as [number | null];
  throw new Error(`the probe ended with ${code} before it was ready`);
}

/** CPU time of all threads in nanoseconds: the first number of each schedstat (Documentation/scheduler/sched-stats.rst). */
export function cpuNs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce(
    (sum, thread) => sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
    0,
  );
}

/** VmRSS or VmHWM (the highest VmRSS so far) of /proc/pid/status (proc_pid_status(5)), in MB of 10^6 bytes. */
export function memoryMb(pid: number, which: 'VmRSS' | 'VmHWM'): number {
  const kib = new RegExp(`^${which}:\\s*(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return (Number(kib) * 1024) / 1e6;
}

/** How many execs of each path the bus in this folder holds. */
export async function execCounts(homeDir: string): Promise<Map<string, number>> {
  const bus = openSqliteBus({ path: join(homeDir, 'bus.db'), compactedTopics: COMPACTED_TOPICS });
  const counts = new Map<string, number>();
  const follower = await bus.follow(TOPICS.events, (records) => {
    for (const { value } of records) {
      const decoded = decodeBatch(value);
      if (decoded.ok && decoded.batch.type === 'exec') count(decoded.batch, counts);
    }
  });
  await follower.close();
  await bus.close();
  return counts;
}

const SNAPSHOT = 1 << 6;

function count(batch: Batch, counts: Map<string, number>): void {
  for (let row = 0; row < batch.rows; row++) {
    if (numberAt(batch, 'flags', row) & SNAPSHOT) continue;
    const path = textAt(batch, 'path', row);
    counts.set(path, (counts.get(path) ?? 0) + 1);
  }
}
