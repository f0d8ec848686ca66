/** The real probe in a process of its own, under limits of its own, and what it put on its bus. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { decodeBatch } from '@bintrail/schemas/batch-decode.ts';
import { COMPACTED_TOPICS, TOPICS } from '@bintrail/schemas/topics.ts';
import { type SeenRow, seenRow } from './probe-kit.ts';

const PROBE = fileURLToPath(new URL('../../../services/probe/src/main.ts', import.meta.url));

export type ProbeApart = {
  readonly pid: number;
  /** Ends the probe and returns everything it sent. */
  readonly stop: () => Promise<SeenRow[]>;
};

/** Resolves when it is attached. `wrapper` is a command that runs the one given to it in its own place. */
export async function startProbeApart(homeDir: string, wrapper: readonly string[]): Promise<ProbeApart> {
  mkdirSync(homeDir, { recursive: true });
  const [command = '', ...args] = [...wrapper, process.execPath, PROBE];
  const child = spawn(command, args, {
    env: { ...process.env, BINTRAIL_HOME: homeDir },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const failed = once(child, 'exit').then(([code]) => Promise.reject(new Error(`the probe ended with ${code}`)));
  await Promise.race([once(child, 'message'), failed]);
  const stop = async () => {
    failed.catch(() => {});
    const ended = once(child, 'exit');
    child.disconnect();
    await ended;
    return sentRows(homeDir);
  };
  return { pid: child.pid!, stop };
}

async function sentRows(homeDir: string): Promise<SeenRow[]> {
  const bus = openSqliteBus({ path: join(homeDir, 'bus.db'), compactedTopics: COMPACTED_TOPICS });
  const rows: SeenRow[] = [];
  const follower = await bus.follow(TOPICS.events, (records) => {
    for (const { value } of records) {
      const decoded = decodeBatch(value);
      if (!decoded.ok) throw new Error(`the probe sent ${decoded.reason}: ${decoded.detail}`);
      for (let index = 0; index < decoded.batch.rows; index++) rows.push(seenRow(decoded.batch, index));
    }
  });
  await follower.close();
  await bus.close();
  return rows;
}
