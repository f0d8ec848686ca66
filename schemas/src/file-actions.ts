/**
 * What was done to a file, as `action` counts it: the position is part of the wire format, so new ones are only appended.
 * The kernel side tells them apart by the system call the change was made in (bpf/changes.h).
 */
export const FILE_ACTIONS = [
  'unknown',
  'written',
  'truncated',
  'mode',
  'renamed',
  'replaced',
  'linked',
  'unlinked',
] as const;

export type FileAction = (typeof FILE_ACTIONS)[number];

/** The word for a number of a row; `unknown` for one that a newer probe made up. */
export function fileAction(action: number): FileAction {
  return FILE_ACTIONS[action] ?? 'unknown';
}
