import type { DatabaseSync } from 'node:sqlite';
import { setImmediate as turn } from 'node:timers/promises';
import { Transient } from './errors.ts';
import { busError } from './sqlite-file.ts';
import type { Groups } from './sqlite-groups.ts';
import type { Log, TopicLog } from './sqlite-log.ts';

export type Limits = { readonly retentionMs: number; readonly maxBytes: number };

/** Records removed in one transaction: at 256 KiB each this is 6 ms of work (measured). */
const BATCH_RECORDS = 256;
/** Free pages kept for the next burst (4 MiB), and how many go back to the file system in one transaction. */
const SPARE_PAGES = 1024;
const VACUUM_PAGES = 256;
/** A topic below this share of `maxBytes` is never refused: a stage can always pass on what it must before it acks. */
const FREE_SHARE = 1 / 8;

/** Throws Transient when the bus has no room for `bytes` more in this topic. */
export type Room = (topic: TopicLog, bytes: number) => void;

export function openRoom(db: DatabaseSync, groups: Groups, { maxBytes }: Limits): Room {
  const used = usedBytes(db);
  return (topic, bytes) => {
    if (used() + bytes <= maxBytes || topic.bytes() + bytes <= maxBytes * FREE_SHARE) return;
    const slowest = groups.slowest(topic);
    const waits =
      slowest === undefined ? '' : `: group ${slowest.name} is ${topic.end() - slowest.acked} records behind`;
    throw new Transient(`the bus is full, topic ${topic.name} must wait${waits}`);
  };
}

/**
 * Returns the function that removes what nobody needs: records every group of their topic has acknowledged; of
 * compacted topics the records a newer one of the same key supersedes; of topics without any group what is older than
 * `retentionMs`, and under pressure the oldest. One short transaction a turn, until nothing is left or `stop` says so.
 */
export function openUpkeep(
  db: DatabaseSync,
  log: Log,
  groups: Groups,
  limits: Limits,
): (stop: () => boolean) => Promise<void> {
  const steps = topicSteps(db, groups, limits);
  const vacuum = vacuumStep(db);
  return async (stop) => {
    for (const name of log.topicNames()) {
      const topic = log.topic(name);
      while (!stop() && log.transaction(() => steps(topic))) await turn();
    }
    let vacuumed = false;
    while (!stop() && vacuum()) {
      vacuumed = true;
      await turn();
    }
    // The file itself shrinks when the log is copied into it.
    if (vacuumed) db.exec('PRAGMA wal_checkpoint(PASSIVE)');
  };
}

/**
 * Runs upkeep at most every `everyMs`, from `start` on, and only when something happened since: an acknowledgement
 * (`due`) or a wake-up (`version` moved).
 */
export function startUpkeep(
  run: (stop: () => boolean) => Promise<void>,
  version: () => number,
  everyMs: number,
): { start(): void; due(): void; stop(): Promise<void> } {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let stopped = false;
  let due = true;
  let seen = version();

  const pass = async (): Promise<void> => {
    try {
      await run(() => stopped);
    } catch (error) {
      const fault = busError(error);
      if (!(fault instanceof Transient)) throw fault;
      due = true;
    } finally {
      running = undefined;
    }
  };
  const tick = (): void => {
    if (running !== undefined || !(due || seen !== version())) return;
    due = false;
    seen = version();
    running = pass();
  };

  return {
    start() {
      timer ??= setInterval(tick, everyMs).unref();
    },
    due() {
      due = true;
    },
    async stop() {
      stopped = true;
      clearInterval(timer);
      await running;
    },
  };
}

/** Does one batch of work on a topic; false when there was nothing to do. */
type Step = (topic: TopicLog) => boolean;

function topicSteps(db: DatabaseSync, groups: Groups, { retentionMs, maxBytes }: Limits): Step {
  const used = usedBytes(db);
  return (topic) => {
    const acked = groups.slowest(topic)?.acked;
    if (topic.compacted) return compact(db, topic, acked ?? topic.end());
    if (acked !== undefined) return trim(db, topic, acked);
    const pressed = used() > maxBytes * (1 - FREE_SHARE) && topic.bytes() > maxBytes * FREE_SHARE;
    return trim(db, topic, topic.end(), pressed ? Number.POSITIVE_INFINITY : Date.now() - retentionMs);
  };
}

function trim(db: DatabaseSync, topic: TopicLog, before: number, olderThanMs = Number.POSITIVE_INFINITY): boolean {
  const oldest = topic.first(0);
  if (oldest === undefined || oldest.offset >= before || oldest.atMs >= olderThanMs) return false;
  const gone = db
    .prepare(
      `SELECT max(offset) AS last, sum(length(value)) AS bytes FROM
         (SELECT * FROM log_${topic.id} WHERE offset < ? AND at_ms < ? ORDER BY offset LIMIT ${BATCH_RECORDS})`,
    )
    .get(before, olderThanMs)!;
  db.prepare(`DELETE FROM log_${topic.id} WHERE offset <= ? AND at_ms < ?`).run(gone.last!, olderThanMs);
  db.prepare('UPDATE topics SET bytes = bytes - ? WHERE id = ?').run(gone.bytes!, topic.id);
  return true;
}

/** Lets the next batch of records supersede their elders. `before`: no group still has to read any record below. */
function compact(db: DatabaseSync, topic: TopicLog, before: number): boolean {
  const from = db.prepare('SELECT compacted_to FROM topics WHERE id = ?').get(topic.id)!.compacted_to as number;
  if (from >= before) return false;
  const to = Math.min(before, from + BATCH_RECORDS);
  const table = `log_${topic.id}`;
  const elders = `SELECT elder.offset FROM ${table} AS record
    JOIN ${table} AS elder ON elder.key = record.key AND elder.offset < record.offset
    WHERE record.offset >= ? AND record.offset < ?`;
  const bytes = db
    .prepare(`SELECT coalesce(sum(length(value)), 0) AS n FROM ${table} WHERE offset IN (${elders})`)
    .get(from, to)!.n as number;
  db.prepare(`DELETE FROM ${table} WHERE offset IN (${elders})`).run(from, to);
  db.prepare('UPDATE topics SET compacted_to = ?, bytes = bytes - ? WHERE id = ?').run(to, bytes, topic.id);
  return true;
}

function vacuumStep(db: DatabaseSync): () => boolean {
  const free = db.prepare('PRAGMA freelist_count');
  return () => {
    if ((free.get()!.freelist_count as number) < SPARE_PAGES + VACUUM_PAGES) return false;
    db.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`);
    return true;
  };
}

/** Bytes of the file's pages that hold something. */
function usedBytes(db: DatabaseSync): () => number {
  const pages = db.prepare('PRAGMA page_count');
  const free = db.prepare('PRAGMA freelist_count');
  const sizeBytes = db.prepare('PRAGMA page_size').get()!.page_size as number;
  return () => ((pages.get()!.page_count as number) - (free.get()!.freelist_count as number)) * sizeBytes;
}
