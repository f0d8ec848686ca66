/** Records of changes to code as rows. */
import { NUMBER_FORMATS } from '@bintrail/schemas/column.ts';
import { file } from '@bintrail/schemas/file.ts';
import { FILE_ACTIONS } from '@bintrail/schemas/file-actions.ts';
import { flagBit, withFlag } from '@bintrail/schemas/flags.ts';
import { readRecordHead, ringDecoder } from '@bintrail/schemas/ring-record.ts';
import type { TakeRecord } from './code-intake.ts';
import type { EventsOut, Row } from './events-out.ts';
import type { ImageTable } from './image-table.ts';
import type { Installers } from './installers.ts';
import { type Origins, type Place, placementOf } from './origins.ts';

export type FileChangesOptions = {
  readonly out: EventsOut;
  readonly origins: Origins;
  readonly images: ImageTable;
  readonly installers: Installers;
};

type Waiting = { readonly row: Row<'file'>; readonly place: Place; readonly takenMs: number; readonly dueMs: number };

export type FileChanges = {
  readonly take: TakeRecord;
  /** Sends what still waits. */
  readonly finish: () => void;
};

/**
 * The exec of the program that made a change comes by another ring, and what package it is of is known only with its
 * digest (WAIT_NS in observer.ts): rows wait that long for both.
 */
const WAIT_MS = 500;
/** A program that is not known by then, as descriptors are read first, stays unnamed. */
const GIVE_UP_MS = 10_000;
const RETRY_MS = 50;
/** In a flood nothing waits: 16 MB when full. */
const MAX_WAITING = 16_384;
const BY_INSTALLER = flagBit('by_installer');
const [RENAMED, REPLACED] = [FILE_ACTIONS.indexOf('renamed'), FILE_ACTIONS.indexOf('replaced')];
const decode = ringDecoder(file);

/**
 * Of the two files of a rename the one that stood at the new name. ext4 has taken its link away by then, and the kernel side
 * knows it by that; xfs, btrfs and tmpfs do so later. A file moved under its own name by a relative path looks the same.
 */
function isRenamedOver({ action, path, target }: Row<'file'>): boolean {
  if (action !== RENAMED || target === '') return false;
  return target.startsWith('/') ? path === target : path.endsWith(`/${target.slice(target.lastIndexOf('/') + 1)}`);
}

export function createFileChanges({ out, origins, images, installers }: FileChangesOptions): FileChanges {
  let waiting: Waiting[] = [];
  let timer: NodeJS.Timeout | undefined;

  const send = ({ row, place }: Pick<Waiting, 'row' | 'place'>) => {
    if (isRenamedOver(row)) row.action = REPLACED;
    row.writer_path = images.find(row)?.program.path ?? '';
    if (installers.has(row)) row.flags = withFlag(row.flags, BY_INSTALLER);
    place.whenSettled(() => out.add('file', Object.assign(row, placementOf(place))));
  };
  const sendDue = () => {
    timer = undefined;
    const nowMs = performance.now();
    const isReady = ({ row, takenMs, dueMs }: Waiting) =>
      dueMs <= nowMs && (images.find(row) !== undefined || nowMs - takenMs > GIVE_UP_MS);
    const { ready = [], later = [] } = Object.groupBy(waiting, (each) => (isReady(each) ? 'ready' : 'later'));
    waiting = later;
    for (const each of ready) send(each);
    if (later.length > 0) timer = setTimeout(sendDue, Math.max(later[0]!.dueMs - nowMs, RETRY_MS));
  };
  const take: TakeRecord = (record, bootOffsetNs) => {
    const [head, row] = [readRecordHead(record), decode(record)];
    if (head === undefined || row === undefined) return false;
    const ts = head.bootNs + bootOffsetNs;
    if (ts < 0n || ts > NUMBER_FORMATS.time.max) return false;
    // What the probe itself writes is no news.
    if (row.pid === process.pid) return true;
    const takenMs = performance.now();
    const place = origins.placeOfPath(row.cgroup_path);
    Object.assign(row, { ts, cpu: head.cpu, cpu_seq: head.seq, writer_path: '' });
    if (waiting.length >= MAX_WAITING) for (const each of waiting.splice(0)) send(each);
    waiting.push({ row, place, takenMs, dueMs: takenMs + WAIT_MS });
    timer ??= setTimeout(sendDue, WAIT_MS);
    return true;
  };
  const finish = () => {
    clearTimeout(timer);
    for (const one of waiting.splice(0)) send(one);
  };
  return { take, finish };
}
