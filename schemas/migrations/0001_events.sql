-- Raw events, one table each, as schemas/src defined them when this migration was written.

CREATE TABLE exec_events (
  node LowCardinality(String) COMMENT 'Node the event happened on.',
  boot LowCardinality(String) COMMENT 'boot_id of its kernel.',
  probe_epoch UInt64 COMMENT 'Start of the probe, milliseconds since the epoch.',
  ingested_at DateTime64(3, 'UTC') COMMENT 'Time of the plan that stored it.',
  ts DateTime64(9, 'UTC') COMMENT 'When it happened: the kernel boot clock plus the wall-clock offset at reading.',
  cpu UInt32 COMMENT 'CPU that numbered the event.',
  cpu_seq UInt64 COMMENT 'Sequence number on that CPU, taken before the ring reserve: a gap is a loss.',
  pid UInt32 COMMENT 'Process id (tgid) in the initial PID namespace.',
  self_exec_id UInt32 COMMENT 'task->self_exec_id: counts the program images of a process.',
  start_ns UInt64 COMMENT 'Start of the process on the boot clock, nanoseconds.',
  parent_start_ns UInt64 COMMENT 'Start of the process whose image the parent ran at the fork.',
  parent_pid UInt32 COMMENT 'Process id that started that image; with a fork in between not the ppid.',
  parent_self_exec_id UInt32 COMMENT 'self_exec_id of that image.',
  ppid UInt32 COMMENT 'Process that forked this one, captured at the fork.',
  uid UInt32 COMMENT 'Real user id in the initial user namespace.',
  gid UInt32 COMMENT 'Real group id.',
  euid UInt32 COMMENT 'Effective user id after the exec.',
  egid UInt32 COMMENT 'Effective group id after the exec.',
  loginuid UInt32 COMMENT 'Audit login uid; 4294967295 when unset.',
  pid_ns UInt32 COMMENT 'PID namespace inode number.',
  mnt_ns UInt32 COMMENT 'Mount namespace inode number.',
  cgroup_id UInt64 COMMENT 'kernfs id of the cgroup in that hierarchy.',
  cgroup_hierarchy UInt32 COMMENT 'Hierarchy id the cgroup was taken from: v2, else pids, else memory.',
  argc UInt32 COMMENT 'True argument count, also when argv is truncated.',
  dev UInt32 COMMENT 'super_block.s_dev in the kernel encoding (major << 20 | minor).',
  generation UInt32 COMMENT 'inode.i_generation; 0 where the filesystem keeps none.',
  ino UInt64 COMMENT 'Inode number.',
  ctime_ns UInt64 COMMENT 'Change time, nanoseconds since the epoch, query flag masked off.',
  mtime_ns UInt64 COMMENT 'Modification time, nanoseconds since the epoch.',
  size UInt64 COMMENT 'File size in bytes.',
  nlink UInt32 COMMENT 'Hard links; 0 once unlinked.',
  writecount Int32 COMMENT 'inode.i_writecount: negative while it is executed, positive while it can be written.',
  fs_magic UInt32 COMMENT 'Superblock magic of the real inode (include/uapi/linux/magic.h).',
  flags UInt32 COMMENT 'Bits of flags.ts.',
  argv_bytes UInt32 COMMENT 'True size of the arguments in bytes.',
  path LowCardinality(String) COMMENT 'Canonical path by dentry walk, in the mount namespace of the process.',
  filename LowCardinality(String) COMMENT 'Name as given to exec; for a script the name of the script.',
  cwd LowCardinality(String) COMMENT 'Working directory.',
  comm LowCardinality(String) COMMENT 'Task name after the exec.',
  cgroup_path LowCardinality(String) COMMENT 'Full path of the cgroup in its hierarchy.',
  argv String COMMENT 'Arguments joined by NUL bytes, redacted before they leave the probe.',
  parent_path LowCardinality(String) COMMENT 'Path of the parent image, where the probe knows it.',
  workload LowCardinality(String) COMMENT 'Workload id derived from the cgroup.',
  container_id LowCardinality(String) COMMENT 'Container id; empty outside containers.',
  image LowCardinality(String) COMMENT 'Image digest; empty when unknown or outside containers.',
  sha256 FixedString(32) COMMENT 'SHA-256 of the bytes; all zero when absent.',
  digest_source LowCardinality(String) COMMENT 'held, exe, map_files, ima or cache; empty without a digest.',
  digest_strength LowCardinality(String) COMMENT 'exact, alive, metadata, racy or writable; empty without a digest.',
  digest_reason LowCardinality(String) COMMENT 'Why there is no digest; empty with one.',
  package LowCardinality(String) COMMENT 'Owning package as manager:name:architecture; empty when none.',
  package_version LowCardinality(String) COMMENT 'Version of that package.',
  package_match LowCardinality(String) COMMENT 'match, mismatch, no_record; empty when no package owns the path.'
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ingested_at)
ORDER BY (workload, sha256, ts)
TTL toDateTime(ingested_at) + INTERVAL 90 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE TABLE exit_events (
  node LowCardinality(String) COMMENT 'Node the event happened on.',
  boot LowCardinality(String) COMMENT 'boot_id of its kernel.',
  probe_epoch UInt64 COMMENT 'Start of the probe, milliseconds since the epoch.',
  ingested_at DateTime64(3, 'UTC') COMMENT 'Time of the plan that stored it.',
  ts DateTime64(9, 'UTC') COMMENT 'When it happened: the kernel boot clock plus the wall-clock offset at reading.',
  cpu UInt32 COMMENT 'CPU that numbered the event.',
  cpu_seq UInt64 COMMENT 'Sequence number on that CPU, taken before the ring reserve: a gap is a loss.',
  pid UInt32 COMMENT 'Process id (tgid) in the initial PID namespace.',
  self_exec_id UInt32 COMMENT 'task->self_exec_id: counts the program images of a process.',
  start_ns UInt64 COMMENT 'Start of the process on the boot clock, nanoseconds.',
  exit_code UInt32 COMMENT 'Exit status, 0 to 255.',
  signal UInt32 COMMENT 'Signal that ended it; 0 when it exited by itself.',
  workload LowCardinality(String) COMMENT 'Workload id derived from the cgroup.',
  container_id LowCardinality(String) COMMENT 'Container id; empty outside containers.',
  image LowCardinality(String) COMMENT 'Image digest; empty when unknown or outside containers.'
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ingested_at)
ORDER BY (node, pid, start_ns)
TTL toDateTime(ingested_at) + INTERVAL 90 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE TABLE load_events (
  node LowCardinality(String) COMMENT 'Node the event happened on.',
  boot LowCardinality(String) COMMENT 'boot_id of its kernel.',
  probe_epoch UInt64 COMMENT 'Start of the probe, milliseconds since the epoch.',
  ingested_at DateTime64(3, 'UTC') COMMENT 'Time of the plan that stored it.',
  ts DateTime64(9, 'UTC') COMMENT 'When the probe made the record.',
  stream UInt32 COMMENT 'Stream of the probe that numbered the event.',
  seq UInt64 COMMENT 'Sequence number in that stream.',
  pid UInt32 COMMENT 'Process id (tgid) in the initial PID namespace.',
  self_exec_id UInt32 COMMENT 'task->self_exec_id: counts the program images of a process.',
  start_ns UInt64 COMMENT 'Start of the process on the boot clock, nanoseconds.',
  role LowCardinality(String) COMMENT 'script, library or loader.',
  uid UInt32 COMMENT 'Real user id of the process.',
  dev UInt32 COMMENT 'super_block.s_dev in the kernel encoding (major << 20 | minor).',
  generation UInt32 COMMENT 'inode.i_generation; 0 where the filesystem keeps none.',
  ino UInt64 COMMENT 'Inode number.',
  ctime_ns UInt64 COMMENT 'Change time, nanoseconds since the epoch, query flag masked off.',
  mtime_ns UInt64 COMMENT 'Modification time, nanoseconds since the epoch.',
  size UInt64 COMMENT 'File size in bytes.',
  nlink UInt32 COMMENT 'Hard links; 0 once unlinked.',
  writecount Int32 COMMENT 'inode.i_writecount: negative while it is executed, positive while it can be written.',
  fs_magic UInt32 COMMENT 'Superblock magic of the real inode (include/uapi/linux/magic.h).',
  flags UInt32 COMMENT 'Bits of flags.ts.',
  path LowCardinality(String) COMMENT 'Canonical path of the file.',
  parent_path LowCardinality(String) COMMENT 'Path of the program that runs it: the interpreter.',
  workload LowCardinality(String) COMMENT 'Workload id derived from the cgroup.',
  container_id LowCardinality(String) COMMENT 'Container id; empty outside containers.',
  image LowCardinality(String) COMMENT 'Image digest; empty when unknown or outside containers.',
  sha256 FixedString(32) COMMENT 'SHA-256 of the bytes; all zero when absent.',
  digest_source LowCardinality(String) COMMENT 'held, exe, map_files, ima or cache; empty without a digest.',
  digest_strength LowCardinality(String) COMMENT 'exact, alive, metadata, racy or writable; empty without a digest.',
  digest_reason LowCardinality(String) COMMENT 'Why there is no digest; empty with one.',
  package LowCardinality(String) COMMENT 'Owning package as manager:name:architecture; empty when none.',
  package_version LowCardinality(String) COMMENT 'Version of that package.',
  package_match LowCardinality(String) COMMENT 'match, mismatch, no_record; empty when no package owns the path.'
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ingested_at)
ORDER BY (workload, sha256, ts)
TTL toDateTime(ingested_at) + INTERVAL 90 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE TABLE digest_events (
  node LowCardinality(String) COMMENT 'Node the event happened on.',
  boot LowCardinality(String) COMMENT 'boot_id of its kernel.',
  probe_epoch UInt64 COMMENT 'Start of the probe, milliseconds since the epoch.',
  ingested_at DateTime64(3, 'UTC') COMMENT 'Time of the plan that stored it.',
  ts DateTime64(9, 'UTC') COMMENT 'When the probe made the record.',
  stream UInt32 COMMENT 'Stream of the probe that numbered the event.',
  seq UInt64 COMMENT 'Sequence number in that stream.',
  pid UInt32 COMMENT 'Process id (tgid) in the initial PID namespace.',
  self_exec_id UInt32 COMMENT 'task->self_exec_id: counts the program images of a process.',
  start_ns UInt64 COMMENT 'Start of the process on the boot clock, nanoseconds.',
  event_ts DateTime64(9, 'UTC') COMMENT 'Time of the exec or load it resolves.',
  role LowCardinality(String) COMMENT 'Role in the resolved event.',
  uid UInt32 COMMENT 'Real user id in the resolved event.',
  flags UInt32 COMMENT 'Flags of the resolved event.',
  path LowCardinality(String) COMMENT 'Path in the resolved event.',
  parent_path LowCardinality(String) COMMENT 'Parent path in the resolved event.',
  workload LowCardinality(String) COMMENT 'Workload id derived from the cgroup.',
  container_id LowCardinality(String) COMMENT 'Container id; empty outside containers.',
  image LowCardinality(String) COMMENT 'Image digest; empty when unknown or outside containers.',
  sha256 FixedString(32) COMMENT 'SHA-256 of the bytes; all zero when absent.',
  digest_source LowCardinality(String) COMMENT 'held, exe, map_files, ima or cache; empty without a digest.',
  digest_strength LowCardinality(String) COMMENT 'exact, alive, metadata, racy or writable; empty without a digest.',
  digest_reason LowCardinality(String) COMMENT 'Why there is no digest; empty with one.',
  package LowCardinality(String) COMMENT 'Owning package as manager:name:architecture; empty when none.',
  package_version LowCardinality(String) COMMENT 'Version of that package.',
  package_match LowCardinality(String) COMMENT 'match, mismatch, no_record; empty when no package owns the path.'
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ingested_at)
ORDER BY (node, pid, start_ns)
TTL toDateTime(ingested_at) + INTERVAL 90 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE TABLE loss_events (
  node LowCardinality(String) COMMENT 'Node the event happened on.',
  boot LowCardinality(String) COMMENT 'boot_id of its kernel.',
  probe_epoch UInt64 COMMENT 'Start of the probe, milliseconds since the epoch.',
  ingested_at DateTime64(3, 'UTC') COMMENT 'Time of the plan that stored it.',
  ts DateTime64(9, 'UTC') COMMENT 'When the probe made the record.',
  stream UInt32 COMMENT 'Stream of the probe that numbered the event.',
  seq UInt64 COMMENT 'Sequence number in that stream.',
  cpu UInt32 COMMENT 'CPU the counter belongs to; 4294967295 for places in user space.',
  event_type LowCardinality(String) COMMENT 'exec, exit, digest.',
  place LowCardinality(String) COMMENT 'Where it is counted: ring, fanotify, hash_queue.',
  seen UInt64 COMMENT 'Events offered to this place so far.',
  sent UInt64 COMMENT 'Events that passed it so far.',
  lost UInt64 COMMENT 'Events lost there so far.'
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ingested_at)
ORDER BY (node, ts)
TTL toDateTime(ingested_at) + INTERVAL 30 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE TABLE heartbeat_events (
  node LowCardinality(String) COMMENT 'Node the event happened on.',
  boot LowCardinality(String) COMMENT 'boot_id of its kernel.',
  probe_epoch UInt64 COMMENT 'Start of the probe, milliseconds since the epoch.',
  ingested_at DateTime64(3, 'UTC') COMMENT 'Time of the plan that stored it.',
  ts DateTime64(9, 'UTC') COMMENT 'When the probe made the record.',
  stream UInt32 COMMENT 'Stream of the probe that numbered the event.',
  seq UInt64 COMMENT 'Sequence number in that stream.',
  probe_version LowCardinality(String) COMMENT 'Version of the probe.',
  hooks LowCardinality(String) COMMENT 'Hook family: lsm or tracepoint.',
  kernel LowCardinality(String) COMMENT 'Kernel release.',
  mode LowCardinality(String) COMMENT 'live or replay.',
  outbox_depth UInt64 COMMENT 'Messages not yet handed to the bus.',
  waiting_digests UInt32 COMMENT 'Files waiting to be hashed.',
  held_descriptors UInt32 COMMENT 'File descriptors held for hashing.'
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ingested_at)
ORDER BY (node, ts)
TTL toDateTime(ingested_at) + INTERVAL 30 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

