/** A bus in a folder of its own, dead letters on it, and a terminal that remembers what it was told. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Bus, BusRecord } from '@bintrail/runtime/bus.ts';
import { type Dead, deadMessage } from '@bintrail/runtime/dead.ts';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { COMPACTED_TOPICS, TOPICS } from '@bintrail/schemas/topics.ts';
import { parseCommand } from './arguments.ts';
import { runCommand } from './commands.ts';

export function newFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'bintrail-dead-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function openBusIn(t: TestContext, folder: string): Bus {
  const bus = openSqliteBus({ path: join(folder, 'bus.db'), compactedTopics: COMPACTED_TOPICS });
  t.after(() => bus.close());
  return bus;
}

/** A record of the events topic that ingest refused. */
export function dead(offset: number, facts: Partial<Dead> = {}): Dead {
  const where = { topic: TOPICS.events, partition: 0, offset };
  const why = { stage: 'ingest', reason: 'wrong_type' };
  return { ...where, ...why, key: `node-${offset}`, bytes: Buffer.from(`no message ${offset}`), ...facts };
}

export const putAside = (bus: Bus, ...letters: readonly Dead[]): Promise<void> =>
  bus.publish(TOPICS.dead, letters.map(deadMessage));

/** All records of a topic. */
export async function recordsOf(bus: Bus, topic: string): Promise<BusRecord[]> {
  const found: BusRecord[] = [];
  await (await bus.follow(topic, (records) => void found.push(...records))).close();
  return found;
}

/** Runs one command line; rejects as the command does. */
export async function run(bus: Bus, line: string, nowMs = Date.now()): Promise<{ out: string; notes: string[] }> {
  const out: Buffer[] = [];
  const notes: string[] = [];
  const terminal = {
    out: (text: string | Uint8Array) => void out.push(Buffer.from(text as string)),
    clock: () => nowMs,
  };
  await runCommand(bus, parseCommand(line.split(' '), nowMs), { ...terminal, note: (note) => void notes.push(note) });
  return { out: Buffer.concat(out).toString('latin1'), notes };
}
