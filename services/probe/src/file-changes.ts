/** Records of changes to code as rows. */
import { NUMBER_FORMATS } from '@bintrail/schemas/column.ts';
import { file } from '@bintrail/schemas/file.ts';
import { FILE_ACTIONS } from '@bintrail/schemas/file-actions.ts';
import { flagBit } from '@bintrail/schemas/flags.ts';
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
  let waiting: { readonly row: Row<'file'>; readonly place: Place; readonly dueMs: number }[] = [];
  let timer: NodeJS.Timeout | undefined;

  const send = ({ row, place }: { row: Row<'file'>; place: Place }) => {
    if (isRenamedOver(row)) row.action = REPLACED;
    row.writer_path = images.find(row)?.program.path ?? '';
    if (installers.has(row)) row.flags |= BY_INSTALLER;
    place.whenSettled(() => out.add('file', Object.assign(row, placementOf(place))));
  };
  const sendDue = () => {
    timer = undefined;
    const nowMs = performance.now();
    const due = waiting.findIndex(({ dueMs }) => dueMs > nowMs);
    const ready = due === -1 ? waiting : waiting.slice(0, due);
    waiting = due === -1 ? [] : waiting.slice(due);
    for (const one of ready) send(one);
    if (waiting.length > 0) timer = setTimeout(sendDue, waiting[0]!.dueMs - nowMs + 1);
  };
  const take: TakeRecord = (record, bootOffsetNs) => {
    const [head, row] = [readRecordHead(record), decode(record)];
    if (head === undefined || row === undefined) return false;
    const ts = head.bootNs + bootOffsetNs;
    if (ts < 0n || ts > NUMBER_FORMATS.time.max) return false;
    // What the probe itself writes is no news.
    if (row.pid === process.pid) return true;
    waiting.push({
      row: Object.assign(row, { ts, cpu: head.cpu, cpu_seq: head.seq, writer_path: '' }),
      place: origins.placeOfPath(row.cgroup_path),
      dueMs: performance.now() + WAIT_MS,
    });
    timer ??= setTimeout(sendDue, WAIT_MS);
    return true;
  };
  const finish = () => {
    clearTimeout(timer);
    for (const one of waiting.splice(0)) send(one);
  };
  return { take, finish };
}
