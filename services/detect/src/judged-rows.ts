/** The distinct sightings of a plan: many execs of one program in one workload are one question to the judgement. */
import { RULE_FLAGS } from '@bintrail/analysis/rules.ts';
import type { Batch } from '@bintrail/schemas/batch-decode.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { bigAt, digestAt, numberAt } from '@bintrail/schemas/row.ts';
import type { Sighting } from '@bintrail/schemas/sighting.ts';
import { digestKey, readTexts, type TextReader } from './column-reader.ts';

/** One row of a message, and when it happened (nanoseconds since the epoch). */
export type Seen = { readonly batch: Batch; readonly row: number; readonly timeNs: bigint };

/** Rows that the judgement cannot tell apart: the earliest and the latest of them. */
export type SeenSighting = {
  readonly sighting: Sighting;
  /** Who wrote the file, where the workload itself did; else ''. */
  readonly writerPath: string;
  first: Seen;
  last: Seen;
};

const SNAPSHOT = flagBit('snapshot');
const UPPER_LAYER = flagBit('upper_layer');
const DROPPED = flagBit('dropped');
const RUNTIME_SETUP = flagBit('runtime_setup');
const JUDGED_FLAGS = RULE_FLAGS.reduce((bits, flag) => bits | flagBit(flag), UPPER_LAYER | RUNTIME_SETUP);

const TEXTS = [
  'workload',
  'image',
  'path',
  'package',
  'package_version',
  'package_match',
  'digest_strength',
  'digest_reason',
] as const;

type Texts = Record<(typeof TEXTS)[number] | 'role', TextReader>;

/** What is judged of a message: its rows, but for processes from before the probe and digests that are still to come. */
export function distinctSightings(batches: readonly Batch[]): SeenSighting[] {
  const distinct = new Map<string, SeenSighting>();
  for (const batch of batches) {
    for (const seen of distinctRows(batch)) {
      const flags = numberAt(seen.first.batch, 'flags', seen.first.row) & JUDGED_FLAGS;
      const key = [...Object.values(seen.sighting), flags, seen.writerPath].join('\0');
      const known = distinct.get(key);
      if (known === undefined) distinct.set(key, seen);
      else widen(known, seen.first, seen.last);
    }
  }
  return [...distinct.values()];
}

function distinctRows(batch: Batch): Iterable<SeenSighting> {
  const timeColumn = JUDGED_EVENTS[batch.type];
  if (timeColumn === undefined) return [];
  const texts = textsOf(batch);
  const readers = Object.values(texts);
  const writers = readTexts(batch, 'writer_path');
  const distinct = new Map<string, SeenSighting>();
  for (let row = 0; row < batch.rows; row++) {
    const flags = numberAt(batch, 'flags', row);
    if ((flags & SNAPSHOT) !== 0 || texts.digest_reason.at(row) === 'pending') continue;
    const seen = { batch, row, timeNs: bigAt(batch, timeColumn, row) };
    let key = `${digestKey(batch, 'sha256', row)}${flags & JUDGED_FLAGS}`;
    for (const reader of readers) key += `,${reader.code(row)}`;
    const isDropped = (flags & DROPPED) !== 0;
    if (isDropped) key += `,${writers.code(row)}`;
    const known = distinct.get(key);
    const writerPath = isDropped ? writers.at(row) : '';
    if (known === undefined)
      distinct.set(key, { sighting: sightingAt(batch, texts, row), writerPath, first: seen, last: seen });
    else widen(known, seen, seen);
  }
  return distinct.values();
}

/** Where the time of what is judged stands; a late digest is judged as of the exec it belongs to. */
const JUDGED_EVENTS: Partial<Record<Batch['type'], string>> = { exec: 'ts', load: 'ts', digest: 'event_ts' };

const EXEC_ROLE: TextReader = { at: () => 'exec', code: () => 0 };

function textsOf(batch: Batch): Texts {
  const entries = TEXTS.map((name) => [name, readTexts(batch, name)] as const);
  const role = batch.type === 'exec' ? EXEC_ROLE : readTexts(batch, 'role');
  return { ...(Object.fromEntries(entries) as Omit<Texts, 'role'>), role };
}

// Words are taken as they come: the judgement treats one it does not know as no evidence.
function sightingAt(batch: Batch, texts: Texts, row: number): Sighting {
  const flags = numberAt(batch, 'flags', row);
  const role = texts.role.at(row) as Sighting['role'];
  return {
    workload: texts.workload.at(row),
    image: texts.image.at(row),
    role: flags & RUNTIME_SETUP ? 'setup' : role,
    sha256: digestAt(batch, 'sha256', row),
    path: texts.path.at(row),
    package: texts.package.at(row),
    package_version: texts.package_version.at(row),
    package_match: texts.package_match.at(row) as Sighting['package_match'],
    upper_layer: (flags & UPPER_LAYER) !== 0,
    digest_strength: texts.digest_strength.at(row) as Sighting['digest_strength'],
    digest_reason: texts.digest_reason.at(row) as Sighting['digest_reason'],
  };
}

function widen(known: SeenSighting, first: Seen, last: Seen): void {
  if (first.timeNs < known.first.timeNs) known.first = first;
  if (last.timeNs > known.last.timeNs) known.last = last;
}
