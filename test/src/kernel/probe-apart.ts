/** The real probe in a process of its own, under limits of its own, and what it put on its bus. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { PROBE_MAIN, PROBE_NODE_OPTIONS } from '@bintrail/probe/launch.ts';
import { putFirst } from '@bintrail/probe/precedence.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import type { EventName } from '@bintrail/schemas/events.ts';
import { COMPACTED_TOPICS, TOPICS } from '@bintrail/schemas/topics.ts';
import { type SeenRow, seenRow } from './probe-kit.ts';

export type ProbeApart = {
  readonly pid: number;
  /** Ends it at once; harmless when it is gone. */
  readonly kill: () => void;
  /** Ends the probe and returns everything it sent, or all rows of these events. */
  readonly stop: (events?: readonly EventName[]) => Promise<SeenRow[]>;
};

/** Resolves when it is attached. `wrapper` is a command that runs the one given to it in its own place. */
export async function startProbeApart(homeDir: string, wrapper: readonly string[]): Promise<ProbeApart> {
  mkdirSync(homeDir, { recursive: true });
  const [command = '', ...args] = [...wrapper, process.execPath, ...PROBE_NODE_OPTIONS, PROBE_MAIN];
  const child = spawn(command, args, {
    env: { ...process.env, BINTRAIL_HOME: homeDir },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    // In a session of its own and before others, as the launcher starts it.
    detached: true,
  });
  putFirst(child.pid!);
  const failed = once(child, 'exit').then(([code]) => Promise.reject(new Error(`the probe ended with ${code}`)));
  await Promise.race([once(child, 'message'), failed]);
  const stop = async (events?: readonly EventName[]) => {
    failed.catch(() => {});
    const ended = once(child, 'exit');
    child.disconnect();
    await ended;
    return sentRows(homeDir, events);
  };
  return { pid: child.pid!, stop, kill: () => child.kill('SIGKILL') };
}

async function sentRows(homeDir: string, events?: readonly EventName[]): Promise<SeenRow[]> {
  const bus = openSqliteBus({ path: join(homeDir, 'bus.db'), compactedTopics: COMPACTED_TOPICS });
  const rows: SeenRow[] = [];
  const follower = await bus.follow(TOPICS.events, (records) => {
    for (const { value } of records) {
      const decoded = decodeBatch(value);
      if (!decoded.ok) throw new Error(`the probe sent ${decoded.reason}: ${decoded.detail}`);
      if (events?.includes(decoded.batch.type) === false) continue;
      for (let index = 0; index < decoded.batch.rows; index++) rows.push(seenRow(decoded.batch, index));
    }
  });
  await follower.close();
  await bus.close();
  return rows;
}
