/** The real probe in a process of its own, on a bus of its own, and what it costs. */
import { type ChildProcess, spawn } from 'node:child_process';
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

/**
 * Resolves when the probe is attached and has sent the processes that were there. `program`: another than its own main.
 * `wrapper`: a command that runs the one given to it in its own place.
 */
export async function startProbeProcess(
  homeDir: string,
  program = PROBE_MAIN,
  args: readonly string[] = [],
  wrapper: readonly string[] = [],
): Promise<ProbeProcess> {
  const [command = '', ...words] = [...wrapper, process.execPath, ...PROBE_NODE_OPTIONS, program, ...args];
  const child = spawn(command, words, {
    env: probeEnvironment({ ...process.env, BINTRAIL_HOME: homeDir, BINTRAIL_CENSUS: NO_CENSUS }),
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

/** The highest VmRSS so far (VmHWM, proc_pid_status(5)), in MB of 10^6 bytes. */
export function peakMb(pid: number): number {
  return kibMb(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')));
}

/** Of /proc/pid/smaps_rollup (proc_pid_smaps_rollup(5)), in MB of 10^6 bytes. `pssMb`: what is shared divided by who shares it. */
export function memoryOf(pid: number): { readonly rssMb: number; readonly pssMb: number; readonly privateMb: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const mb = (field: string) => kibMb(new RegExp(`^${field}:\\s*(\\d+) kB$`, 'm').exec(text));
  return { rssMb: mb('Rss'), pssMb: mb('Pss'), privateMb: mb('Private_Clean') + mb('Private_Dirty') };
}

const kibMb = (found: RegExpExecArray | null) => (Number(found?.[1]) * 1024) / 1e6;

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
