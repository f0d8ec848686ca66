/**
 * The small integers that stand for names in a message. Part of the wire format: names are only appended, and never taken
 * out or moved. A column of the same name has the same key in every event.
 */

/** Keys of the header, from 0. */
export const HEADER_NAMES = ['v', 'type', 'node', 'boot', 'probe_epoch', 'batch_seq', 'rows'] as const;

/** Keys of the columns follow. Those below 24 take one byte, so the first seventeen are what most rows have. */
const COLUMN_NAMES: readonly string[] = [
  ...['ts', 'pid', 'self_exec_id', 'start_ns', 'cpu', 'cpu_seq', 'path', 'parent_path', 'workload', 'sha256'],
  ...['digest_source', 'digest_strength', 'parent_start_ns', 'parent_pid', 'ppid', 'argv', 'filename'],
  ...['package', 'package_version', 'package_match', 'digest_reason', 'parent_self_exec_id', 'container_id', 'image'],
  ...['uid', 'gid', 'euid', 'egid', 'loginuid', 'pid_ns', 'mnt_ns', 'cgroup_id', 'cgroup_hierarchy', 'cgroup_path'],
  ...['argc', 'argv_bytes', 'cwd', 'comm', 'dev', 'generation', 'ino', 'ctime_ns', 'mtime_ns', 'size', 'nlink'],
  ...['writecount', 'fs_magic', 'flags', 'exit_code', 'signal', 'stream', 'seq', 'role', 'event_ts'],
  ...['event_type', 'place', 'seen', 'sent', 'lost', 'probe_version', 'hooks', 'kernel', 'mode', 'outbox_depth'],
  ...['waiting_digests', 'held_descriptors', 'images', 'cpus'],
  ...['census_id', 'taken_over', 'execs', 'exits', 'reason'],
  ...['ring_backlog_bytes', 'fanotify_backlog_bytes'],
  ...['writer_start_ns', 'written_ns', 'writer_pid', 'writer_self_exec_id', 'writer_path'],
  ...['action', 'repeats', 'target', 'file_mode'],
  'package_algorithm',
  ...['runtime', 'deployed_as', 'container_name', 'namespace', 'pod', 'image_id', 'image_ref', 'labels', 'told_by'],
  ...['valid_from', 'valid_until'],
  'script_evidence',
];

const KEYS = new Map(COLUMN_NAMES.map((name, position) => [name, HEADER_NAMES.length + position]));

/** Throws for a column without a key: append its name to this file then. */
export function columnKey(name: string): number {
  const key = KEYS.get(name);
  if (key === undefined) throw new Error(`column ${name} has no key on the wire: append it to column-keys.ts`);
  return key;
}
