/** Raw events out of their tables, as they are shown. A digest that came late stands in the event it belongs to. */

import type { Parameter, Store } from '@bintrail/runtime/store.ts';
import { formatExecId } from '@bintrail/schemas/exec-id.ts';
import { fileAction } from '@bintrail/schemas/file-actions.ts';
import { MAX_TIME_NS } from '@bintrail/schemas/finding.ts';
import { flagNames } from '@bintrail/schemas/flags.ts';
import { printable } from '@bintrail/schemas/printable.ts';
import type { ContainerNames } from '../container-answer.ts';
import type { Event, EventType } from '../event-answer.ts';
import { shown } from '../findings/subject.ts';
import { rfc3339FromNs } from '../time.ts';
import { type AskedContainer, readContainerNames } from './container-names.ts';

const IDENTITY = ['pid', 'start_ns', 'self_exec_id', 'node', 'boot'];
const PLACE = ['workload', 'container_id', 'image'];
const CONTENT = [
  ...['digest_source', 'digest_strength', 'digest_reason'],
  ...['package', 'package_version', 'package_match', 'package_algorithm'],
];
const WRITER = ['writer_pid', 'writer_start_ns', 'writer_self_exec_id', 'written_ns'];
const FILE_NUMBERS = ['uid', 'flags', 'repeats', ...WRITER];
const FILE_TEXTS = ['role', 'path', 'parent_path', 'writer_path', ...CONTENT];

type Source = {
  readonly table: string;
  /** What numbered the event, and the number. */
  readonly lane: string;
  readonly seq: string;
  readonly numbers: readonly string[];
  readonly texts: readonly string[];
};

export const SOURCES: Readonly<Record<EventType, Source>> = {
  exec: {
    table: 'exec_events',
    lane: 'cpu',
    seq: 'cpu_seq',
    numbers: [
      ...['ppid', 'uid', 'gid', 'euid', 'argc', 'flags'],
      ...['parent_pid', 'parent_start_ns', 'parent_self_exec_id', ...WRITER],
    ],
    texts: ['path', 'parent_path', 'writer_path', 'filename', 'comm', 'cwd', 'argv', ...CONTENT],
  },
  exit: { table: 'exit_events', lane: 'cpu', seq: 'cpu_seq', numbers: ['exit_code', 'signal'], texts: [] },
  load: {
    table: 'load_events',
    lane: 'stream',
    seq: 'seq',
    numbers: FILE_NUMBERS,
    texts: [...FILE_TEXTS, 'script_evidence'],
  },
  digest: { table: 'digest_events', lane: 'stream', seq: 'seq', numbers: FILE_NUMBERS, texts: FILE_TEXTS },
  file: {
    table: 'file_events',
    lane: 'cpu',
    seq: 'cpu_seq',
    numbers: ['uid', 'flags', 'action', 'repeats'],
    texts: ['path', 'target'],
  },
};

/** In this order events of one type are total; processes found at the start have no number, but each a pid. */
export function keyColumns(type: EventType): string[] {
  const { lane, seq } = SOURCES[type];
  return ['ts', 'node', lane, seq, 'pid'];
}

export type EventKey = {
  readonly tsNs: string;
  readonly node: string;
  readonly lane: number;
  readonly seq: string;
  readonly pid: number;
};

export type EventRow = { readonly event: Event; readonly key: EventKey; readonly ingestedMs: number };

type SqlRow = Readonly<Record<string, string | number>>;

function selectList(type: EventType): string {
  const { lane, seq, numbers, texts } = SOURCES[type];
  const id = [`'${type}'`, 'node', 'boot', 'probe_epoch', lane, seq, 'ts', 'pid', 'start_ns', 'self_exec_id'];
  return [
    ...IDENTITY,
    ...numbers,
    ...[...PLACE, ...texts].map((name) => `hex(${name}) AS ${name}_hex`),
    ...(texts.includes('digest_reason') ? ['lower(hex(sha256)) AS sha'] : []),
    `lower(hex(sipHash128(${id.join(', ')}))) AS event_id`,
    'toUnixTimestamp64Nano(ts) AS ts_ns',
    'toUnixTimestamp64Milli(ingested_at) AS ingested_ms',
    `${lane} AS lane_number`,
    `toString(${seq}) AS seq_number`,
  ].join(', ');
}

/** Events of one type; `tail` is what follows the table's name. */
export async function selectEvents(
  store: Store,
  type: EventType,
  tail: string,
  params: Readonly<Record<string, Parameter>>,
): Promise<EventRow[]> {
  const rows = await store.query<SqlRow>(`SELECT ${selectList(type)} FROM ${SOURCES[type].table} ${tail}`, params);
  const asked = rows.map(containerOf);
  const [late, namesAt] = await Promise.all([lateDigests(store, type, rows), readContainerNames(store, asked)]);
  return rows.map((row, index) => ({
    event: eventOf(type, { ...row, ...late.get(subjectOf(type, row)) }, namesAt(asked[index]!)),
    key: {
      tsNs: String(row.ts_ns),
      node: String(row.node),
      lane: Number(row.lane_number),
      seq: String(row.seq_number),
      pid: Number(row.pid),
    },
    ingestedMs: Number(row.ingested_ms),
  }));
}

const PENDING_HEX = Buffer.from('pending').toString('hex').toUpperCase();
// Names of nodes take up to 256 bytes, and a parameter of ClickHouse 128 KiB.
const CHUNK = 250;

/** What `digest_events` says of the pending ones among these, by {@link subjectOf}. */
async function lateDigests(store: Store, type: EventType, rows: readonly SqlRow[]): Promise<Map<string, SqlRow>> {
  const pending = type === 'digest' ? [] : rows.filter((row) => row.digest_reason_hex === PENDING_HEX);
  const found = new Map<string, SqlRow>();
  const columns = [...CONTENT, 'role', 'path'].map((name) => `hex(${name}) AS ${name}_hex`).join(', ');
  for (let at = 0; at < pending.length; at += CHUNK) {
    const chunk = pending.slice(at, at + CHUNK);
    const late = await store.query<SqlRow>(
      `SELECT ${IDENTITY.join(', ')}, ${columns}, lower(hex(sha256)) AS sha,
         toUnixTimestamp64Nano(event_ts) AS ts_ns FROM digest_events
       WHERE node IN (SELECT arrayJoin({nodes:Array(String)})) AND (pid, start_ns) IN (
         SELECT pair.1, pair.2 FROM (SELECT arrayJoin(arrayZip({pids:Array(UInt32)}, {starts:Array(UInt64)})) AS pair))`,
      {
        nodes: [...new Set(chunk.map(({ node }) => String(node)))],
        pids: chunk.map(({ pid }) => Number(pid)),
        starts: chunk.map(({ start_ns }) => BigInt(start_ns!)),
      },
    );
    for (const { role_hex, path_hex, ts_ns, ...row } of late) {
      found.set(subjectOf(shown(String(role_hex)), { ...row, path_hex: path_hex!, ts_ns: ts_ns! }), row);
    }
  }
  return found;
}

// One exec may have several scripts and libraries: the path tells them apart, and the time those of no process.
function subjectOf(typeOrRole: string, row: SqlRow): string {
  const role = typeOrRole === 'load' ? shown(String(row.role_hex)) : typeOrRole;
  const isOfOne = Number(row.pid) !== 0;
  return JSON.stringify([role, ...IDENTITY.map((name) => row[name]), row.path_hex, isOfOne ? '' : String(row.ts_ns)]);
}

const NO_DIGEST = '0'.repeat(64);

function containerOf(row: SqlRow): AskedContainer {
  return { node: String(row.node), id: shown(String(row.container_id_hex)), tsNs: BigInt(row.ts_ns!) };
}

function eventOf(type: EventType, row: SqlRow, container: ContainerNames): Event {
  const number = (name: string) => (row[name] === undefined ? null : Number(row[name]));
  const text = (name: string) => {
    const hex = row[`${name}_hex`];
    return hex === undefined || hex === '' ? null : shown(String(hex));
  };
  const hasContent = row.sha !== undefined;
  const content = {
    source: text('digest_source'),
    strength: text('digest_strength'),
    reason: text('digest_reason'),
  };
  return {
    event_id: String(row.event_id),
    ts: rfc3339FromNs(BigInt(row.ts_ns!)),
    type,
    node: String(row.node),
    exec_id: idOf(row, ''),
    parent_exec_id: type === 'exec' ? idOf(row, 'parent_') : null,
    pid: Number(row.pid),
    ppid: number('ppid'),
    uid: number('uid'),
    gid: number('gid'),
    euid: number('euid'),
    path: text('path'),
    filename: text('filename'),
    comm: text('comm'),
    parent_path: text('parent_path'),
    argv: row.argv_hex === undefined ? null : argumentsOf(Buffer.from(String(row.argv_hex), 'hex')),
    argc: number('argc'),
    cwd: text('cwd'),
    role: type === 'exec' ? 'exec' : (text('role') as Event['role']),
    script_evidence: text('script_evidence') as Event['script_evidence'],
    count: row.repeats === undefined ? null : 1 + Number(row.repeats),
    sha256: hasContent && row.sha !== NO_DIGEST ? String(row.sha) : null,
    digest: hasContent ? (content as Event['digest']) : null,
    package: text('package'),
    package_version: text('package_version'),
    package_match: text('package_match') as Event['package_match'],
    package_algorithm: text('package_algorithm'),
    workload: text('workload') ?? '',
    container_id: text('container_id'),
    image: text('image'),
    container,
    exit_code: number('exit_code'),
    signal: number('signal'),
    written_by: writtenBy(row, text('writer_path')),
    action: row.action === undefined ? null : fileAction(Number(row.action)),
    target: text('target'),
    flags: flagNames(Number(row.flags ?? 0)),
  };
}

// A time beyond what RFC 3339 can say comes from no clock: nothing is said of such a writer.
function writtenBy(row: SqlRow, path: string | null): Event['written_by'] {
  const execId = row.writer_pid === undefined ? null : idOf(row, 'writer_');
  const writtenNs = BigInt(row.written_ns ?? 0);
  return execId === null || writtenNs > MAX_TIME_NS ? null : { exec_id: execId, path, at: rfc3339FromNs(writtenNs) };
}

// Whatever the first program came from has pid 0, and so have loads that stand for those of several processes, and a writer
// that is not known.
function idOf(row: SqlRow, whose: '' | 'parent_' | 'writer_'): string | null {
  const pid = Number(row[`${whose}pid`]);
  if (pid === 0) return null;
  const startNs = BigInt(row[`${whose}start_ns`]!);
  return formatExecId({ boot: String(row.boot), pid, startNs, selfExecId: Number(row[`${whose}self_exec_id`]) });
}

/** Each argument ends with a NUL byte, but for one that was cut. */
function argumentsOf(bytes: Buffer): string[] {
  const list: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0, at);
    const next = end === -1 ? bytes.length : end;
    list.push(printable(bytes.subarray(at, next)));
    at = next + 1;
  }
  return list;
}
