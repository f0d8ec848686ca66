/**
 * How a digest was read: from the descriptor fanotify held, /proc/<pid>/exe, the same inode opened by its path, a
 * mapping, IMA, an earlier reading, or a descriptor of the process itself.
 */
export const DIGEST_SOURCES = ['held', 'exe', 'path', 'map_files', 'ima', 'cache', 'fd'] as const;
export type DigestSource = (typeof DIGEST_SOURCES)[number];

/**
 * How sure we are that these are the bytes that ran. `exact`: identity equal before and after reading, and older than
 * a clock tick at the exec. `alive`: the very exec still ran the file after the read. The others are weak: stored and
 * searched, but never cached and never approving or explaining anything.
 */
export const DIGEST_STRENGTHS = ['exact', 'alive', 'metadata', 'racy', 'writable'] as const;
export type DigestStrength = (typeof DIGEST_STRENGTHS)[number];
export const STRONG: readonly DigestStrength[] = ['exact', 'alive'];

/** Why there is no digest. `pending` is the only one that a later `digest` event replaces. */
export const DIGEST_REASONS = [
  'too_large',
  'vanished',
  'changed',
  'unreadable',
  'remote_fs',
  'timeout',
  'unmarked_fs',
  'overload',
  'snapshot',
  'rate_limited',
  'pending',
] as const;
export type DigestReason = (typeof DIGEST_REASONS)[number];

/**
 * `claimed`: as `match`, by a database that whoever runs in the container could have written. `unread`: the database of
 * its root could not be asked, or not in time.
 */
export const PACKAGE_MATCHES = ['match', 'mismatch', 'no_record', 'claimed', 'unread'] as const;
export type PackageMatch = (typeof PACKAGE_MATCHES)[number];

/**
 * What a file was to the process that ran it. `setup`: a program of the host, started in a container's cgroup by the same
 * program outside to set the container up, or what that loads (flag `runtime_setup`); no part of what the container runs.
 */
export const ROLES = ['exec', 'library', 'script', 'loader', 'setup'] as const;
export type Role = (typeof ROLES)[number];

/**
 * How a script is known. `executed`: the kernel opened it and ran its interpreter. `read`: a known interpreter read it, and
 * its arguments name it. `opened`: as `read`, but it was found open only. `stdin`: it was the standard input of one whose
 * arguments name no program. `named`: the arguments name it, and nobody saw it being read.
 */
export const SCRIPT_EVIDENCE = ['executed', 'read', 'opened', 'stdin', 'named'] as const;
export type ScriptEvidence = (typeof SCRIPT_EVIDENCE)[number];
