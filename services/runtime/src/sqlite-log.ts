import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { BusRecord, Message } from './bus.ts';
import { busError } from './sqlite-file.ts';

/** A message as a row holds it: `sizeBytes` is what a reader gets, `value` what the disk holds. */
export type Row = {
  readonly key: string;
  readonly sizeBytes: number;
  readonly encoding: 0 | 1;
  readonly value: Uint8Array;
};

const PLAIN = 0;
const ZSTD = 1;
/** A zstd call costs 25 µs whatever the size; below this it saves too few bytes to be worth it. */
const COMPRESS_FROM_BYTES = 512;
const ZSTD_LEVEL_1 = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

export function encodeRow({ key, value }: Message): Row {
  const plain: Row = { key, sizeBytes: value.byteLength, encoding: PLAIN, value };
  if (value.byteLength < COMPRESS_FROM_BYTES) return plain;
  const packed = zstdCompressSync(value, ZSTD_LEVEL_1);
  return packed.byteLength < value.byteLength ? { ...plain, encoding: ZSTD, value: packed } : plain;
}

/** The records of rows as they are stored; packed values are unpacked together, and share one piece of memory. */
function decodeRows(rows: readonly Record<string, SQLOutputValue>[]): BusRecord[] {
  const packed = rows.filter(({ encoding }) => encoding === ZSTD);
  const unpacked = packed.length === 0 ? NOTHING : unpackAll(packed);
  let at = 0;
  return rows.map(({ offset, key, at_ms, size, encoding, value }) => {
    const facts = { offset: offset as number, key: key as string, publishedAtMs: at_ms as number };
    if (encoding !== ZSTD) return { ...facts, value: value as Uint8Array };
    at += size as number;
    return { ...facts, value: unpacked.subarray(at - (size as number), at) };
  });
}

const NOTHING = Buffer.alloc(0);

/** zstd frames one after the other unpack to their contents one after the other (RFC 8878 §3): one call, not 31 µs each. */
function unpackAll(rows: readonly Record<string, SQLOutputValue>[]): Buffer {
  const sizeBytes = rows.reduce((sum, { size }) => sum + (size as number), 0);
  const frames =
    rows.length === 1 ? (rows[0]!.value as Uint8Array) : Buffer.concat(rows.map(({ value }) => value as Uint8Array));
  const unpacked = zstdDecompressSync(frames, { chunkSize: sizeBytes });
  if (unpacked.length !== sizeBytes) throw new Error(`records of ${sizeBytes} bytes unpack to ${unpacked.length}`);
  return unpacked;
}

/** One topic's table. Every function is one short synchronous SQLite call. */
export type TopicLog = {
  readonly id: number;
  readonly name: string;
  readonly compacted: boolean;
  /** Appends all rows; call inside `transaction`. */
  append(rows: readonly Row[], atMs: number): void;
  /** The end of a batch that begins at `from`, or undefined when there is no record there yet. */
  batchEnd(from: number, limits: { maxRecords: number; maxBytes: number }): number | undefined;
  /** Records of [from, to), in order, until `maxBytes` is passed. */
  read(from: number, to: number, maxBytes: number): BusRecord[];
  /** Offset of the next record. */
  end(): number;
  /** The first record at or after `from`. */
  first(from: number): { offset: number; atMs: number } | undefined;
  count(from: number): number;
  bytes(): number;
};

export type Log = {
  transaction<T>(work: () => T): T;
  /** The topic's table, made when it does not exist. */
  topic(name: string): TopicLog;
  /** Undefined when nothing was ever published to or read from it. */
  existing(name: string): TopicLog | undefined;
  topicNames(): string[];
};

/** The tables of all topics. `compactedTopics` says which keep only the newest record of each key. */
export function openLog(db: DatabaseSync, compactedTopics: readonly string[]): Log {
  const open = new Map<string, TopicLog>();
  const begin = db.prepare('BEGIN IMMEDIATE');
  const commit = db.prepare('COMMIT');
  const find = db.prepare('SELECT id, compacted FROM topics WHERE name = ?');
  const names = db.prepare('SELECT name FROM topics ORDER BY id');

  const transaction = <T>(work: () => T): T => {
    try {
      begin.run();
      const result = work();
      commit.run();
      return result;
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      throw busError(error);
    }
  };

  const existing = (name: string): TopicLog | undefined => {
    const known = open.get(name);
    if (known !== undefined) return known;
    const row = find.get(name);
    // A process that knows the topic as compacted makes it so, whoever published to it first.
    if (row === undefined || (compactedTopics.includes(name) && row.compacted === 0)) return undefined;
    const topic = openTopic(db, { id: row.id as number, name, compacted: row.compacted === 1 });
    open.set(name, topic);
    return topic;
  };

  return {
    transaction,
    existing,
    topic(name) {
      const found = existing(name);
      if (found !== undefined) return found;
      transaction(() => createTopic(db, name, compactedTopics.includes(name)));
      return existing(name)!;
    },
    topicNames: () => names.all().map((row) => row.name as string),
  };
}

function createTopic(db: DatabaseSync, name: string, compacted: boolean): void {
  const id = db
    .prepare('INSERT INTO topics (name) VALUES (?) ON CONFLICT DO UPDATE SET name = name RETURNING id')
    .get(name)!.id;
  db.exec(`CREATE TABLE IF NOT EXISTS log_${id} (
    offset INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    key TEXT NOT NULL,
    size INTEGER NOT NULL,      -- of the value before compression
    encoding INTEGER NOT NULL,  -- 0 as it is, 1 zstd
    value BLOB NOT NULL
  ) STRICT`);
  if (!compacted) return;
  db.exec(`CREATE INDEX IF NOT EXISTS log_${id}_key ON log_${id} (key, offset)`);
  db.prepare('UPDATE topics SET compacted = 1 WHERE id = ?').run(id!);
}

function openTopic(db: DatabaseSync, facts: { id: number; name: string; compacted: boolean }): TopicLog {
  const { id } = facts;
  const table = `log_${id}`;
  const reserve = db.prepare(`UPDATE topics SET next = next + ?, bytes = bytes + ? WHERE id = ${id} RETURNING next`);
  const insert = db.prepare(`INSERT INTO ${table} VALUES (?, ?, ?, ?, ?, ?)`);
  const sizes = db.prepare(`SELECT offset, size FROM ${table} WHERE offset >= ? ORDER BY offset LIMIT ?`);
  const range = db.prepare(`SELECT * FROM ${table} WHERE offset >= ? AND offset < ? ORDER BY offset`);
  const first = db.prepare(`SELECT offset, at_ms FROM ${table} WHERE offset >= ? ORDER BY offset LIMIT 1`);
  const count = db.prepare(`SELECT count(*) AS n FROM ${table} WHERE offset >= ?`);
  const topic = db.prepare(`SELECT next, bytes FROM topics WHERE id = ${id}`);

  return {
    ...facts,
    append(rows, atMs) {
      const stored = rows.reduce((sum, row) => sum + row.value.byteLength, 0);
      let offset = (reserve.get(rows.length, stored)!.next as number) - rows.length;
      for (const { key, sizeBytes, encoding, value } of rows) {
        insert.run(offset, atMs, key, sizeBytes, encoding, value);
        offset += 1;
      }
    },
    batchEnd: (from, limits) => batchEnd(sizes, from, limits),
    read: (from, to, maxBytes) => readRange(range, from, to, maxBytes),
    end: () => topic.get()!.next as number,
    first(from) {
      const row = first.get(from);
      return row === undefined ? undefined : { offset: row.offset as number, atMs: row.at_ms as number };
    },
    count: (from) => count.get(from)!.n as number,
    bytes: () => topic.get()!.bytes as number,
  };
}

function batchEnd(
  sizes: StatementSync,
  from: number,
  { maxRecords, maxBytes }: { maxRecords: number; maxBytes: number },
): number | undefined {
  let end: number | undefined;
  let bytes = 0;
  for (const row of sizes.iterate(from, maxRecords)) {
    bytes += row.size as number;
    if (end !== undefined && bytes > maxBytes) break;
    end = (row.offset as number) + 1;
  }
  return end;
}

function readRange(range: StatementSync, from: number, to: number, maxBytes: number): BusRecord[] {
  const rows: Record<string, SQLOutputValue>[] = [];
  let bytes = 0;
  for (const row of range.iterate(from, to)) {
    rows.push(row);
    bytes += row.size as number;
    if (bytes >= maxBytes) break;
  }
  return decodeRows(rows);
}
