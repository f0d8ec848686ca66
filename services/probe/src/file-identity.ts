import { FILE_LAYOUT } from '@bintrail/schemas/layout.ts';
import { readNumber } from '@bintrail/schemas/ring-record.ts';

/** A file as BPF described it: the C struct bt_file. User space compares these and never makes one itself. */
export type FileState = {
  readonly dev: number;
  readonly generation: number;
  readonly ino: bigint;
  readonly ctime_ns: bigint;
  readonly mtime_ns: bigint;
  readonly size: bigint;
  readonly nlink: number;
  readonly writecount: number;
  readonly fs_magic: number;
  readonly flags: number;
};

/** Reads the struct at the start of this view. */
export function readFileState(view: DataView): FileState {
  const state: Record<string, number | bigint> = {};
  for (const slot of FILE_LAYOUT.numbers) state[slot.name] = readNumber(view, slot);
  return state as unknown as FileState;
}

/** Which inode: the key descriptors and events are joined by. */
export function inodeKey(file: FileState): string {
  return `${file.dev}:${file.ino}:${file.generation}`;
}

/** Which content of which inode: equal keys mean that nothing the kernel records has changed in between. */
export function identityKey(file: FileState): string {
  return `${inodeKey(file)}:${file.ctime_ns}:${file.mtime_ns}:${file.size}`;
}

/** True when only ctime or the link count moved (unlink, chmod, rename): the content has the same size and mtime. */
export function sameContentFields(a: FileState, b: FileState): boolean {
  return inodeKey(a) === inodeKey(b) && a.mtime_ns === b.mtime_ns && a.size === b.size;
}
