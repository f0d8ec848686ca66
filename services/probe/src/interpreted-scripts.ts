/**
 * Scripts that an interpreter opens by itself. The kernel side tells when a known interpreter starts, and of the first
 * file it reads that an argument names; what the arguments mean is decided here. A file that was named, and not seen being
 * read for a while, stands as `named`.
 */
import { closeSync } from 'node:fs';
import { basename } from 'node:path';
import { NUMBER_FORMATS } from '@bintrail/schemas/column.ts';
import type { RowOf } from '@bintrail/schemas/field.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
import { interpreted, scriptRead } from '@bintrail/schemas/interpreted.ts';
import { readRecordHead, ringDecoder } from '@bintrail/schemas/ring-record.ts';
import type { TakeRecord } from './code-intake.ts';
import type { DigestPipeline } from './digest-pipeline.ts';
import type { Row } from './events-out.ts';
import type { FileState } from './file-identity.ts';
import { type Source, sourceOf } from './interpreter-arguments.ts';
import { FAMILIES, type Interpreters } from './interpreters.ts';
import type { Observer } from './observer.ts';
import type { Look, Operand } from './operands.ts';
import type { Origins, Place } from './origins.ts';
import type { ScriptRunner } from './subjects.ts';

export type InterpretedOptions = {
  readonly observer: Pick<Observer, 'onScript'>;
  readonly origins: Pick<Origins, 'placeOfPath'>;
  readonly interpreters: Interpreters;
  readonly pipeline: Pick<DigestPipeline, 'known' | 'whenRead' | 'offerNamed'>;
  readonly look: Look;
  readonly nowNs: () => bigint;
};

export type Interpreted = {
  /** The takers of both records, by their type. */
  readonly takers: [number, TakeRecord][];
  /** A program whose digest is known by now: it may be an interpreter the kernel did not know yet when it started. */
  readonly onProgram: (row: Row<'exec'>, place: Place) => void;
  /** Sends what still waits to be seen being read. */
  readonly finish: () => void;
};

type Waiting = {
  readonly runner: ScriptRunner;
  readonly place: Place;
  readonly operand: Operand;
  readonly sinceNs: bigint;
  /** The file the operand names, as it was found at once. */
  readonly found: Found | undefined;
};
type Found = { readonly state: FileState; readonly path: string; readonly stateNs: bigint };

/** Until it reads its script an interpreter reads what it brings along: Python some 20 files. */
const READ_WITHIN_MS = 1_000;
const SWEEP_MS = 200;
const MAX_WAITING = 4_096;
const [REGULAR, FILE_TYPE] = [0o100000, 0o170000];
const [decodeStart, decodeRead] = [ringDecoder(interpreted), ringDecoder(scriptRead)];

export function createInterpreted(options: InterpretedOptions): Interpreted {
  const { observer, origins, interpreters, nowNs } = options;
  const waiting = new Map<string, Waiting>();
  let timer: NodeJS.Timeout | undefined;

  const sendNamed = ({ runner, place, operand, found }: Waiting) => {
    const { state, path, stateNs } = found ?? lookUp(options, operand) ?? {};
    if (state === undefined || path === undefined || stateNs === undefined) return;
    observer.onScript({ runner, place, state, path, stateNs, evidence: 'named', fd: undefined }, nowNs());
  };
  const sweep = () => {
    timer = undefined;
    const overdueNs = nowNs() - BigInt(READ_WITHIN_MS) * 1_000_000n;
    for (const [key, one] of waiting) {
      if (one.sinceNs > overdueNs) break;
      waiting.delete(key);
      sendNamed(one);
    }
    if (waiting.size > 0) timer = setTimeout(sweep, SWEEP_MS);
  };
  const wait = (runner: ScriptRunner, place: Place, operand: Operand) => {
    const one = { runner, place, operand, sinceNs: nowNs(), found: lookUp(options, operand) };
    const oldest = waiting.size < MAX_WAITING ? undefined : waiting.entries().next().value;
    if (oldest !== undefined) {
      waiting.delete(oldest[0]);
      sendNamed(oldest[1]);
    }
    waiting.set(imageKey(runner), one);
    timer ??= setTimeout(sweep, SWEEP_MS);
  };
  const takeStart: TakeRecord = (bytes, bootOffsetNs) => {
    const [record, ts] = [decodeStart(bytes), timeOf(bytes, bootOffsetNs)];
    const family = record && FAMILIES[record.family - 1];
    if (record === undefined || ts === undefined || family === undefined) return false;
    const source = sourceOf(family, record.argv.split('\0').slice(0, -1));
    const runner = { ...record, path: record.parent_path, ts };
    const place = origins.placeOfPath(record.cgroup_path);
    if (source.kind === 'file') wait(runner, place, { ...record, path: absolutePath(source, record.cwd) });
    const isFile = (record.stdin_mode & FILE_TYPE) === REGULAR;
    if (source.kind === 'stdin' && isFile) {
      const { path } = record;
      observer.onScript({ runner, place, state: record, path, stateNs: ts, evidence: 'stdin', fd: 0 }, nowNs());
    }
    return true;
  };
  const takeRead: TakeRecord = (bytes, bootOffsetNs) => {
    const [record, ts] = [decodeRead(bytes), timeOf(bytes, bootOffsetNs)];
    if (record === undefined || ts === undefined) return false;
    const one = waiting.get(imageKey(record));
    if (one === undefined) return true;
    const { runner, place, operand } = one;
    const { path, fd, opened } = record;
    // Another argument's file: code that is read before the program (node --require), or data that a shell has open.
    const isProgram = basename(path) === basename(operand.path);
    if (isProgram) waiting.delete(imageKey(record));
    else if (opened) return true;
    const evidence = opened ? 'opened' : 'read';
    observer.onScript({ runner, place, state: record, path, stateNs: ts, evidence, fd }, nowNs());
    return true;
  };
  const onProgram: Interpreted['onProgram'] = (row, place) => {
    interpreters.learn(row, row);
    const [family, namedAtNs] = [interpreters.familyOf(row), interpreters.namedAtNs(row)];
    if (family === undefined || namedAtNs === undefined || row.ts >= namedAtNs || isRunByKernel(row)) return;
    const source = sourceOf(family, row.argv.split('\0').slice(0, -1));
    if (source.kind !== 'file') return;
    const operand = { ...row, path: absolutePath(source, row.cwd) };
    sendNamed({ runner: row, place, operand, sinceNs: nowNs(), found: undefined });
  };
  const finish = () => {
    clearTimeout(timer);
    for (const one of waiting.values()) sendNamed(one);
    waiting.clear();
  };
  return {
    takers: [
      [interpreted.id, takeStart],
      [scriptRead.id, takeRead],
    ],
    ...{ onProgram, finish },
  };
}

const SCRIPT = flagBit('script');

/** Its script came by the kernel, with evidence of its own. */
function isRunByKernel({ flags }: Row<'exec'>): boolean {
  return (flags & SCRIPT) !== 0;
}

/** Looks the file up, and has it read at once: a script may be deleted a moment later. */
function lookUp({ look, pipeline, nowNs }: InterpretedOptions, operand: Operand): Found | undefined {
  const named = look(operand);
  if (named === undefined) return undefined;
  const { fd, state, path } = named;
  const { pid } = operand;
  const isKnown = pipeline.known(state, pid) !== undefined || pipeline.whenRead(state, pid, () => {});
  if (isKnown) closeSync(fd);
  else pipeline.offerNamed(pid, fd, state, path);
  return { state, path, stateNs: nowNs() };
}

function timeOf(record: DataView, bootOffsetNs: bigint): bigint | undefined {
  const head = readRecordHead(record);
  const ts = head === undefined ? undefined : head.bootNs + bootOffsetNs;
  return ts !== undefined && ts >= 0n && ts <= NUMBER_FORMATS.time.max ? ts : undefined;
}

function absolutePath({ path }: Extract<Source, { kind: 'file' }>, cwd: string): string {
  return path.startsWith('/') ? path : `${cwd}/${path}`;
}

function imageKey({ pid, start_ns, self_exec_id }: RowOf<typeof scriptRead> | ScriptRunner): string {
  return `${pid}:${start_ns}:${self_exec_id}`;
}
