/** Bytes an event takes on the bus, by how many rows share a message. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { constants, zstdCompressSync } from 'node:zlib';
import { openSqliteBus } from '@bintrail/runtime/sqlite-bus.ts';
import { encodeBatch } from '@bintrail/schemas/batch-encode.ts';
import { exec } from '@bintrail/schemas/exec.ts';
import { TOPICS } from '@bintrail/schemas/topics.ts';
import { rowsOf, unpackRecording } from '@bintrail/standalone/replay-recording.ts';
import type { Aim, Bench, Figure } from './bench.ts';
import { finishedRows } from './host-observer.ts';
import { type ExecRow, hostPrograms } from './sample-rows.ts';
import { ratios, summarize } from './stats.ts';
import { tempFolder } from './temp-folder.ts';

const ROWS_A_MESSAGE = [1, 8, 64, 1_024] as const;
const MESSAGES = 128;
const GENERATED_ROWS = 16_384;
/** The recording has too few rows for larger messages. */
const MAX_RECORDED = 8;
const RECORDING = new URL('../../services/standalone/sample/sample.cbor.zst', import.meta.url);
const ZSTD_LEVEL_1 = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

const AIMS: Readonly<Record<number, Aim>> = {
  1: { of: 'value', op: '≤', value: 250 },
  64: { of: 'value', op: '≤', value: 50 },
  1024: { of: 'value', op: '≤', value: 50 },
};

const LARGE = 'times, process ids, arguments and digests, which differ from row to row, are most of it.';
const WHY_MISSED: Readonly<Record<number, string>> = {
  1:
    'it is values: 32 B digest, 45 B times, 75 B other numbers, 200 B paths and names, 75 B keys. Compressed with an ' +
    'earlier message of the node as the dictionary it would be 203 B; the bus compresses each by itself, from 512 B on.',
  64: LARGE,
  1024: LARGE,
};

async function run(): Promise<Figure[]> {
  const recorded = recordedRows();
  const generated = await finishedRows(hostPrograms(200), GENERATED_ROWS);
  const figures: Figure[] = [];
  for (const size of ROWS_A_MESSAGE) {
    const rows = size <= MAX_RECORDED ? recorded : generated;
    figures.push(await figureOf(size, rows, size <= MAX_RECORDED ? 'recorded' : 'generated'));
  }
  return figures;
}

/** Exec rows that the probe sent, in their order. */
function recordedRows(): ExecRow[] {
  return unpackRecording(readFileSync(RECORDING)).flatMap((batch) =>
    batch.type === 'exec' ? (rowsOf(batch) as ExecRow[]) : [],
  );
}

/** Messages are stretches of the rows, evenly apart; where there are few they overlap. */
async function figureOf(size: number, rows: readonly ExecRow[], origin: string): Promise<Figure> {
  const count = Math.min(MESSAGES, rows.length - size + 1);
  const step = Math.floor((rows.length - size) / Math.max(1, count - 1));
  const stretches = Array.from({ length: count }, (_, index) => rows.slice(index * step, index * step + size));
  const stored = (await storedSizes(stretches)).map((bytes) => bytes / size);
  const asJson = stretches.map((stretch) => zstdCompressSync(jsonLines(stretch), ZSTD_LEVEL_1).length / size);
  const aim = AIMS[size];
  const whyMissed = WHY_MISSED[size];
  return {
    what: `${size.toLocaleString('en-US')} ${origin} ${size === 1 ? 'row' : 'rows'} a message`,
    unit: 'B/event',
    value: summarize(stored),
    baseline: { what: 'JSON lines, zstd', value: summarize(asJson) },
    ratio: ratios(stored, asJson),
    ...(aim && { aim }),
    ...(whyMissed && { whyMissed }),
  };
}

/** What SQLite holds of each message: key and value as stored. */
async function storedSizes(stretches: readonly (readonly ExecRow[])[]): Promise<number[]> {
  const path = join(tempFolder('wire'), 'bus.db');
  const bus = openSqliteBus({ path, compactedTopics: [] });
  const header = {
    node: 'web-1.example.com',
    boot: '6f1c2d3e-0000-4000-8000-1234567890ab',
    probeEpoch: 1_768_435_200_000n,
  };
  const messages = stretches.map((rows, batchSeq) => ({
    key: header.node,
    value: encodeBatch(exec, { ...header, batchSeq }, rows),
  }));
  await bus.publish(TOPICS.events, messages);
  await bus.close();
  const db = new DatabaseSync(path, { readOnly: true });
  const { id } = db.prepare('SELECT id FROM topics WHERE name = ?').get(TOPICS.events) as { id: number };
  const sizes = db
    .prepare(`SELECT octet_length(key) + octet_length(value) AS bytes FROM log_${id} ORDER BY offset`)
    .all();
  db.close();
  return sizes.map(({ bytes }) => bytes as number);
}

function jsonLines(rows: readonly ExecRow[]): Buffer {
  const text = (_key: string, value: unknown) => (typeof value === 'bigint' ? value.toString() : value);
  const lines = rows.map(({ sha256, ...row }) =>
    JSON.stringify({ ...row, sha256: Buffer.from(sha256, 'latin1').toString('hex') }, text),
  );
  return Buffer.from(lines.join('\n'));
}

export const bench: Bench = {
  name: 'wire',
  title: 'Size on the bus',
  method:
    'Exec rows with digests and packages, of the recorded sample or generated from 200 programs of this host, published ' +
    `to the SQLite bus; stored bytes of key and value, compressed where the bus does; up to ${MESSAGES} messages each.`,
  run,
};
